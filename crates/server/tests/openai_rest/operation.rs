//! What operators rely on: health, metrics, API description, keys, TLS, and an orderly stop.

use std::time::Duration;

use antiphon_desk::Keys;
use antiphon_server::http::serve;
use antiphon_server::settings::{Settings, Tls};
use reqwest::StatusCode;
use serde_json::Value;

use crate::error;
use crate::support::tools::until;
use crate::support::{Server, app};

fn with_key() -> Settings {
    Settings { keys: Keys::new(["sk-test"]), ..Settings::default() }
}

#[tokio::test]
async fn health_and_metrics_need_no_key_but_models_do() {
    let server = Server::start(with_key());
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(reqwest::get(server.url(path)).await.unwrap().status(), 200, "{path}");
    }
    let response = reqwest::get(server.url("/v1/models")).await.unwrap();
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(error(response).await.0, 401);
    let client = reqwest::Client::new();
    let models = || client.get(server.url("/v1/models"));
    assert_eq!(error(models().bearer_auth("sk-other").send().await.unwrap()).await.0, 401);
    assert_eq!(models().bearer_auth("sk-test").send().await.unwrap().status(), 200);
    assert_eq!(models().header("api-key", "sk-test").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn every_line_of_the_metrics_is_openmetrics() {
    let server = Server::start(Settings::default());
    reqwest::get(server.url("/v1/models")).await.unwrap();
    let embed = reqwest::Client::new().post(server.url("/v1/embeddings"));
    embed.json(&serde_json::json!({"input": "a"})).send().await.unwrap();
    let plain = reqwest::get(server.url("/metrics")).await.unwrap();
    assert_eq!(plain.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let plain = plain.text().await.unwrap();
    assert!(plain.contains("# TYPE antiphon_http_requests_total counter\n") && !plain.contains("# EOF"));
    // As Prometheus asks.
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    let asked = reqwest::Client::new().get(server.url("/metrics")).header("accept", accept);
    let response = asked.send().await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let text = response.text().await.unwrap();
    let families = openmetrics(&text);
    for name in [
        "antiphon_turn_e2e_latency_seconds",
        "antiphon_end_of_turn_delay_seconds",
        "antiphon_stt_transcription_delay_seconds",
        "antiphon_llm_ttft_seconds",
        "antiphon_tts_ttfb_seconds",
        "antiphon_interruption_latency_seconds",
        "antiphon_calls_active",
        "antiphon_http_requests",
        "antiphon_tokio_tasks_alive",
        "process_resident_memory_bytes",
    ] {
        assert!(families.contains(&name.to_owned()), "{name} is not in {families:?}");
    }
    assert!(
        text.contains("antiphon_http_requests_total{method=\"GET\",route=\"/v1/models\",status=\"200\"} 1")
    );
}

/// Parses OpenMetrics text strictly, and returns the names of the metric families.
fn openmetrics(text: &str) -> Vec<String> {
    let body = text.strip_suffix("# EOF\n").expect("an end");
    let mut families: Vec<String> = Vec::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (keyword, name) = (words.next().unwrap(), words.next().unwrap());
            assert!(["HELP", "TYPE", "UNIT"].contains(&keyword), "{line}");
            if families.last().is_none_or(|last| last != name) {
                assert!(!families.contains(&name.to_owned()), "{name} comes twice");
                families.push(name.to_owned());
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap();
        let family = families.last().expect("a family before its samples");
        let suffix =
            name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{name} is not of {family}"));
        assert!(["", "_total", "_bucket", "_sum", "_count"].contains(&suffix), "{line}");
        if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
            let labels =
                labels.strip_prefix('{').and_then(|labels| labels.strip_suffix('}')).expect("braces");
            assert!(labels.split("\",").all(|label| label.contains("=\"")), "{line}");
        }
    }
    families
}

#[tokio::test]
async fn the_description_names_every_rest_path() {
    let server = Server::start(Settings::default());
    let api: Value = reqwest::get(server.url("/openapi.json")).await.unwrap().json().await.unwrap();
    assert!(api["openapi"].as_str().unwrap().starts_with("3."));
    for (path, method) in [
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
        ("/v1/audio/transcriptions", "post"),
        ("/v1/audio/translations", "post"),
        ("/v1/audio/speech", "post"),
        ("/v1/chat/completions", "post"),
        ("/v1/responses", "post"),
        ("/v1/embeddings", "post"),
        ("/v1/models", "get"),
        ("/v1/models/{model}", "get"),
        ("/v1/audio/voices", "get"),
        ("/v1/audio/models", "get"),
    ] {
        assert!(api["paths"][path][method]["responses"].is_object(), "{method} {path}");
    }
    for status in ["400", "401", "403", "408", "413", "415", "429", "500", "502", "503", "504"] {
        let content = &api["paths"]["/v1/responses"]["post"]["responses"][status]["content"];
        assert_eq!(
            content["application/json"]["schema"]["$ref"], "#/components/schemas/OpenAiError",
            "{status}"
        );
    }
    let text = api.to_string();
    let references = text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    for reference in references {
        assert!(api.pointer(reference).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_errors_in_the_shape_of_their_api() {
    let server = Server::start(Settings::default());
    let missing = reqwest::get(server.url("/v1/nothing")).await.unwrap();
    assert_eq!(error(missing).await.0, 404);
    let wrong = reqwest::get(server.url("/v1/embeddings")).await.unwrap();
    assert_eq!(error(wrong).await.0, 405);
    let elsewhere = reqwest::get(server.url("/nothing")).await.unwrap();
    assert_eq!(elsewhere.headers()["content-type"], "application/problem+json");
    let problem: Value = elsewhere.json().await.unwrap();
    assert_eq!(problem["status"], 404);
}

#[tokio::test]
async fn requests_have_an_identity() {
    let server = Server::start(Settings::default());
    let client = reqwest::Client::new();
    let response = client.get(server.url("/healthz")).header("x-request-id", "mine").send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "mine");
    let response =
        client.get(server.url("/healthz")).header("x-request-id", "x".repeat(500)).send().await.unwrap();
    assert!(response.headers()["x-request-id"].to_str().unwrap().starts_with("req_"));
}

#[tokio::test]
async fn pages_from_elsewhere_may_call_only_with_a_key() {
    for (settings, allowed) in [(with_key(), true), (Settings::default(), false)] {
        let server = Server::start(settings);
        let preflight = reqwest::Client::new()
            .request(reqwest::Method::OPTIONS, server.url("/v1/chat/completions"))
            .header("origin", "https://example.com")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization")
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.headers().contains_key("access-control-allow-origin"), allowed);
        let request =
            reqwest::Client::new().get(server.url("/v1/models")).header("origin", "https://example.com");
        let response = request.bearer_auth("sk-test").send().await.unwrap();
        assert_eq!(response.status(), if allowed { StatusCode::OK } else { StatusCode::FORBIDDEN });
        if allowed {
            let exposed = response.headers()["access-control-expose-headers"].to_str().unwrap();
            assert!(exposed.contains("location"), "{exposed}");
        }
    }
}

#[tokio::test]
async fn stopping_waits_for_calls_and_refuses_new_ones() {
    let server = Server::start(Settings { drain: Duration::from_secs(30), ..Settings::default() });
    let app = std::sync::Arc::clone(&server.app);
    let (ready, models) = (server.url("/readyz"), server.url("/v1/models"));
    let call = app.desk.calls.admit("test", None).unwrap();
    let stopped = tokio::spawn(server.stop());
    until("the server drains", || app.desk.calls.draining()).await;
    assert!(app.desk.calls.admit("test", None).is_err());
    let response = reqwest::get(ready).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "5");
    assert!(response.text().await.unwrap().contains("shutting down"));
    let response = reqwest::get(models).await.unwrap();
    assert_eq!(response.headers()["retry-after"], "5");
    assert_eq!(error(response).await.0, 503);
    assert!(!stopped.is_finished());
    drop(call);
    stopped.await.unwrap();
}

#[tokio::test]
async fn a_full_server_is_not_ready_until_a_call_ends() {
    let server = Server::start(Settings { max_calls: 1, ..Settings::default() });
    let call = server.app.desk.calls.admit("test", None).unwrap();
    let response = reqwest::get(server.url("/readyz")).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "5");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "full");
    drop(call);
    assert_eq!(reqwest::get(server.url("/readyz")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn connections_are_encrypted_with_the_certificate_given() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support");
    let (cert, key) = (folder.join("localhost.crt"), folder.join("localhost.key"));
    let authority = reqwest::Certificate::from_pem(&std::fs::read(&cert).unwrap()).unwrap();
    let server = Server::start(Settings { tls: Some(Tls { cert, key }), ..Settings::default() });
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    assert_eq!(client.get(server.url("/healthz")).send().await.unwrap().status(), 200);
    assert!(reqwest::get(server.url("/healthz")).await.is_err(), "strangers do not trust this certificate");
    let plain = format!("http://{}/healthz", server.address);
    assert!(reqwest::get(plain).await.is_err());
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tls = Tls { cert: "no/such.crt".into(), key: "no/such.key".into() };
    let settings = Settings { tls: Some(tls), ..Settings::default() };
    let app = app(settings);
    let error = serve(app, listener, futures_util::stream::pending()).await.unwrap_err();
    assert!(error.to_string().contains("no/such.crt"), "{error}");
}

#[tokio::test]
async fn listening_to_the_world_needs_a_key() {
    let open = || std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let never = futures_util::stream::pending;
    let error = serve(app(Settings::default()), open(), never()).await.unwrap_err();
    assert!(error.to_string().contains("api_keys"), "{error}");
    let at_once = futures_util::stream::iter([()]);
    serve(app(with_key()), open(), at_once).await.unwrap();
}
