//! The server's reports about its own performance.

use antiphon_desk::Keys;
use antiphon_server::settings::Settings;
use serde_json::Value;

use crate::support::Server;

async fn get(server: &Server, path: &str) -> (u16, Value) {
    let response = reqwest::get(server.url(path)).await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn every_component_reports_its_stages() {
    let server = Server::start(Settings::default());
    let (status, report) = get(&server, "/api/performance").await;
    assert_eq!(status, 200);
    let names: Vec<&str> =
        report["components"].as_array().unwrap().iter().filter_map(|part| part["name"].as_str()).collect();
    for name in ["pipeline", "turn", "stt", "llm", "tts", "transport"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let (_, one) = get(&server, "/api/performance?component=llm&minutes=5").await;
    assert_eq!(one["components"][0]["stages"][0]["name"], "first_token");
    assert_eq!(one["components"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_cannot_be_reported_is_refused() {
    let server = Server::start(Settings::default());
    let (status, problem) = get(&server, "/api/performance?component=brain").await;
    assert_eq!(status, 404);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("pipeline")), "{problem}");
    assert_eq!(get(&server, "/api/performance?minutes=0").await.0, 400);
    let keyed = Server::start(Settings { keys: Keys::new(["sk-1"]), ..Settings::default() });
    assert_eq!(get(&keyed, "/api/performance").await.0, 401);
}
