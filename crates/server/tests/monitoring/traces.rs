//! Spans are received by a collector that uses OpenTelemetry's own message types.

use std::process::Stdio;
use std::time::Duration;

use antiphon_testkit::client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::program::Place;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_arrives_as_a_tree_of_spans_in_the_callers_trace() {
    let mut collector = Command::new(client(".venv/bin/python"))
        .arg(client("otlp/receive.py"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the collector starts");
    let mut received = BufReader::new(collector.stdout.take().expect("its output")).lines();
    let address = received.next_line().await.expect("text").expect("its address");
    let place = Place::new(&format!("[telemetry]\notlp_endpoint = \"{address}\"\nlog_format = \"json\"\n"));
    let server = place.serve().await;
    server.typed_call(&["Where is my order?"], Some(PARENT)).await;
    // The collector is down at first, and requests that it refuses are sent again.
    tokio::time::sleep(Duration::from_secs(4)).await;
    server.typed_call(&["And the other one?"], Some(PARENT)).await;
    let chat = reqwest::Client::new()
        .post(format!("{}/v1/chat/completions", server.url))
        .header("traceparent", PARENT);
    let chat = chat
        .json(&json!({ "messages": [{ "role": "user", "content": "hi" }] }))
        .send()
        .await
        .expect("answers");
    assert_eq!(chat.status(), 200);
    drop(chat.bytes().await);
    // Spans that were not sent yet are sent when the server stops.
    server.stop().await;

    let mut spans: Vec<Value> = Vec::new();
    let arrived = async {
        while spans.iter().filter(|span| span["name"] == "conversation").count() < 2
            || !spans.iter().any(|span| span["name"] == "POST /v1/chat/completions")
        {
            let line = received.next_line().await.expect("text").expect("a request");
            let request: Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(request["resourceSpans"][0]["resource"]["attributes"][0]["key"], "service.name");
            let scope = &request["resourceSpans"][0]["scopeSpans"][0]["spans"];
            spans.extend(scope.as_array().expect("spans").iter().cloned());
        }
    };
    tokio::time::timeout(Duration::from_secs(30), arrived).await.expect("the spans arrive");
    let named = |name: &str| {
        spans.iter().find(|span| span["name"].as_str().is_some_and(|n| n.starts_with(name))).expect("a span")
    };
    let (whole, turn, llm, tts) = (named("conversation"), named("turn"), named("chat "), named("tts"));
    for span in &spans {
        // In protobuf's JSON format, bytes are base64.
        assert_eq!(span["traceId"], "S/kvNXezTaajzpKdDg5HNg==", "{span}");
    }
    assert_eq!(whole["parentSpanId"], "APBnqgupArc=", "{whole}");
    assert_eq!(
        named("POST ")["parentSpanId"],
        whole["parentSpanId"],
        "a request over REST is in its client's trace, too"
    );
    assert_eq!(turn["parentSpanId"], whole["spanId"]);
    assert_eq!((&llm["parentSpanId"], &tts["parentSpanId"]), (&turn["spanId"], &turn["spanId"]));
    let attributes = llm["attributes"].to_string();
    assert!(attributes.contains("gen_ai.request.model") && attributes.contains("call_"), "{attributes}");

    let lines: Vec<Value> =
        place.log().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let of_call: Vec<&Value> = lines.iter().filter(|line| line["message"] == "call begun").collect();
    let span = &of_call[0]["span"];
    assert!(span["call_id"].as_str().is_some_and(|id| id.starts_with("call_")), "{span}");
    assert_eq!(span["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
}
