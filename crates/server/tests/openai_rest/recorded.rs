//! What programs send that people run beside a server, at their defaults. Written by hand in their form, not recorded from their
//! sockets: those of Home Assistant, SillyTavern and AnythingLLM after their sources.

use antiphon_server::settings::Settings;
use serde_json::Value;

use crate::support::Server;

/// A program, a path and a body, separated by tabs, on each line.
const BODIES: &str = include_str!("recorded.tsv");

#[tokio::test]
async fn requests_of_programs_are_answered() {
    let server = Server::start(Settings::default());
    let mut programs = Vec::new();
    for line in BODIES.lines() {
        let [program, path, body] = line.splitn(3, '\t').collect::<Vec<_>>()[..] else {
            panic!("not three columns: {line}")
        };
        let parsed: Value = serde_json::from_str(body).expect("JSON");
        let request =
            reqwest::Client::new().post(server.url(path)).header("content-type", "application/json");
        let answer = request.body(body.to_owned()).send().await.expect("a reply");
        let (status, media_type) = (answer.status(), answer.headers()["content-type"].clone());
        let text = answer.bytes().await.expect("a body");
        assert_eq!(status, 200, "{program}: {}", String::from_utf8_lossy(&text));
        let expected = match path {
            "/v1/audio/speech" => "audio/mpeg",
            _ if parsed["stream"] == true => "text/event-stream",
            _ => "application/json",
        };
        assert_eq!(media_type, expected, "{program}");
        programs.push(program);
    }
    programs.dedup();
    assert_eq!(programs, ["AnythingLLM", "Home Assistant", "LibreChat", "Open WebUI", "SillyTavern"]);
}
