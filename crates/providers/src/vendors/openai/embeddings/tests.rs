use antiphon_core::{ErrorKind, RateLimit, lock};
use proptest::prelude::*;
use std::time::Duration;

use super::*;
use crate::remote::testing::{Request, Server, Step, json_like, latest, response, survives};

/// The server's vector for a text: not of length one, and equal for equal texts.
fn vector(text: &str) -> [f32; 4] {
    let bytes: f32 = text.bytes().map(f32::from).sum();
    [bytes, text.len() as f32, 3.0, -1.0]
}

/// An answer as OpenAI sends it, with the last text first: the indices say which is which.
fn answer(request: &Request) -> Vec<Step> {
    let input: Vec<String> = serde_json::from_value(request.json()["input"].clone()).expect("texts");
    let row = |(index, text): (usize, &String)| {
        let bytes: Vec<u8> = vector(text).iter().flat_map(|number| number.to_le_bytes()).collect();
        json!({ "object": "embedding", "index": index, "embedding": STANDARD.encode(bytes) })
    };
    let data: Vec<Value> = input.iter().enumerate().rev().map(row).collect();
    let usage = json!({ "prompt_tokens": 8, "total_tokens": 8 });
    let body = json!({ "object": "list", "data": data, "model": "m", "usage": usage }).to_string();
    let status = if input.iter().any(String::is_empty) { "400 Bad Request" } else { "200 OK" };
    vec![Step::Send(response(status, "content-type: application/json\r\n", &body))]
}

fn engine(url: &str, model: &str, bounds: Bounds) -> OpenAiEmbed {
    let settings = OpenAiEmbedSettings { dimensions: Some(4) };
    let options =
        OpenAiEmbedOptions { settings, bounds, ..OpenAiEmbedOptions::new(format!("{url}/v1"), model) };
    OpenAiEmbed::new(options).expect("made")
}

async fn embed(engine: &OpenAiEmbed, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
    engine.embed(texts.iter().map(|text| (*text).to_owned()).collect(), Priority::LiveTurn).await
}

#[tokio::test]
async fn it_obeys_the_spec() {
    let server = Server::start(answer).await;
    crate::spec::embed(&engine(&server.url, "m", Bounds::default())).await;
}

#[tokio::test]
async fn it_survives_its_server() {
    let ask = |url: String, bounds| {
        let engine = engine(&url, "m", bounds);
        async move { embed(&engine, &["hello"]).await.map(drop) }.boxed()
    };
    let whole = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAEAAAEBAAACAQA=="}]}"#;
    survives(ask, &response("200 OK", "content-type: application/json\r\n", whole)).await;
}

#[tokio::test]
async fn many_texts_go_in_batches_and_come_back_in_order() {
    let server = Server::start(answer).await;
    let engine = engine(&server.url, "m", Bounds::default());
    let texts: Vec<String> = (0..300).map(|n| format!("text {n}")).chain(["é".repeat(9_000)]).collect();
    let vectors = engine.embed(texts.clone(), Priority::Batch).await.expect("works");
    for (text, got) in texts[..300].iter().zip(&vectors) {
        let wanted = vector(text);
        let cosine: f32 = wanted.iter().zip(got).map(|(a, b)| a * b).sum();
        let length = wanted.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((cosine / length - 1.0).abs() < 1e-5, "{text}");
    }
    let sent: Vec<usize> =
        server.requests().iter().map(|r| r.json()["input"].as_array().expect("texts").len()).collect();
    assert_eq!(sent, [256, 45]);
    assert_eq!(fitting(&vec!["x".repeat(8_000); 100]), 37, "no more tokens than the server takes");
}

#[tokio::test]
async fn shorter_vectors_are_asked_for_where_the_model_has_them() {
    let server = Server::start(answer).await;
    for (model, asked) in [("text-embedding-3-small", json!(4)), ("m", Value::Null)] {
        embed(&engine(&server.url, model, Bounds::default()), &["x"]).await.expect("works");
        let sent = server.requests().pop().expect("asked").json();
        assert_eq!((&sent["dimensions"], &sent["encoding_format"]), (&asked, &json!("base64")));
    }
    let usual = |model| OpenAiEmbed::new(OpenAiEmbedOptions::new("http://localhost/v1", model));
    assert_eq!(usual("text-embedding-3-large").expect("known").card().dimensions, 3_072);
    assert!(usual("m").err().expect("unknown").to_string().contains("dimensions"));
}

#[tokio::test]
async fn wrong_answers_are_errors() {
    let ask = async |body: &str| {
        let server = Server::sending(response("200 OK", "", body)).await;
        embed(&engine(&server.url, "m", Bounds::default()), &["a", "b"]).await
    };
    let row = |vector: &str| format!(r#"{{"data":[{{"embedding":{vector}}},{{"embedding":{vector}}}]}}"#);
    let decimal = ask(&row("[0,0,-2,0]")).await.expect("some servers know no base64");
    assert_eq!(decimal, vec![vec![0.0, 0.0, -1.0, 0.0]; 2]);
    let huge = ask(&row("[3e38,3e38,0,0]")).await.expect("numbers");
    assert!((huge[0][0] - 0.5_f32.sqrt()).abs() < 1e-5);
    let cases = [
        ("nonsense".to_owned(), "JSON"),
        (r#"{"data":[]}"#.to_owned(), "fewer"),
        (r#"{"data":[{"index":7,"embedding":[1,0,0,0]}]}"#.to_owned(), "fewer"),
        (row("[1,0,0]"), "dimensions = 3"),
        (row("[0,0,0,0]"), "direction"),
        (row(r#""AACAfwAAAAAAAAAAAAAAAA==""#), "direction"),
        (row(r#""AACA""#), "broken numbers"),
        (row(r#""?""#), "base64"),
        (r#"{"error":{"message":"?"}}"#.to_owned(), "JSON"),
    ];
    for (body, words) in cases {
        let error = ask(&body).await.expect_err(words);
        assert!(error.kind() == ErrorKind::Protocol && error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn limits_are_told_and_the_key_is_sent() {
    let limits = "x-ratelimit-remaining-requests: 2\r\nx-ratelimit-reset-requests: 20ms\r\n";
    let server = Server::sending(response("429 Too Many Requests", limits, "{}")).await;
    let mut options = OpenAiEmbedOptions::new(server.url.clone(), "text-embedding-3-small");
    options.api_key = Some(ApiKey::new("s3cret"));
    assert!(!format!("{options:?}").contains("s3cret"));
    let told = latest(&options.limits);
    let engine = OpenAiEmbed::new(options).expect("made");
    assert_eq!(embed(&engine, &["x"]).await.expect_err("busy").kind(), ErrorKind::RateLimited);
    assert_eq!(*lock(&told), Some(RateLimit { remaining: 2, reset: Duration::from_millis(20), limit: None }));
    assert!(engine.probe().await.is_err());
    assert!(server.requests().iter().all(|request| request.head.contains("authorization: Bearer s3cret")));
}

proptest! {
    #[test]
    fn any_answer_is_taken(body in json_like(&["data", "index", "embedding"]), texts in 0_usize..3) {
        let _ = engine("http://localhost", "m", Bounds::default()).read(body.as_bytes(), texts);
    }
}
