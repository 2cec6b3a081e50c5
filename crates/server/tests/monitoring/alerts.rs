//! An alert, from the failure of an engine to the webhook.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;

use crate::program::Place;

type Received = Arc<Mutex<Vec<(HeaderMap, String)>>>;

async fn receive(State(received): State<Received>, headers: HeaderMap, body: String) -> StatusCode {
    let mut received = received.lock().expect("no test panics while it holds a lock");
    received.push((headers, body));
    // The first request fails, as if it were lost on the way.
    if received.len() == 1 { StatusCode::BAD_GATEWAY } else { StatusCode::OK }
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_that_fail_are_told_to_the_log_the_dashboard_and_the_webhook() {
    let received = Received::default();
    let app = Router::new().route("/alerts", post(receive)).with_state(received.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    let place = Place::new(&format!(
        "[telemetry]\nalert_webhook = \"http://{address}/alerts\"\nalert_webhook_secret = \"s3cret\"\n"
    ));
    let config = std::fs::read_to_string(place.path("antiphon.toml")).expect("there");
    place.write("antiphon.toml", &config.replace("[tts]", "fail_rate = 1.0\n[tts]"));
    let server = place.serve().await;
    let told = async {
        // Failures continue until the alert has reached the webhook.
        while received.lock().expect("a lock").len() < 2 {
            server.typed_call(&["one", "two", "three", "four"], None).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), told).await.expect("an alert in time");
    let (headers, body) = received.lock().expect("a lock")[1].clone();
    let alert: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((&alert["rule"], &alert["state"]), (&"errors".into(), &"firing".into()), "{alert}");
    let signature = headers["x-antiphon-signature"].to_str().expect("text");
    assert!(signature.starts_with("v1=") && signature.len() == 67, "{signature}");
    assert!(headers.contains_key("x-antiphon-timestamp"));
    let listed = server.get("/api/performance/alerts").await;
    assert_eq!(listed["data"][0]["subject"], alert["subject"]);
    let metrics = reqwest::get(format!("{}/metrics", server.url)).await.expect("answers");
    let metrics = metrics.text().await.expect("text");
    let series = "antiphon_alerts_firing{rule=\"errors\"} ";
    let firing = metrics.lines().find_map(|line| line.strip_prefix(series)?.parse().ok());
    assert!(firing.is_some_and(|count: f64| count >= 1.0), "{metrics}");
    assert!(place.log().contains("alert: "), "{}", place.log());
    assert!(!place.log().contains("s3cret"));
    server.stop().await;
}
