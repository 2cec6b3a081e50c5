use antiphon_server::settings::Settings;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Response;
use serde_json::{Value, json};

use crate::error;
use crate::support::Server;
use crate::support::schema::assert_is;

async fn post(server: &Server, body: Value) -> Response {
    reqwest::Client::new().post(server.url("/v1/embeddings")).json(&body).send().await.expect("a reply")
}

#[tokio::test]
async fn texts_become_vectors_in_their_order() {
    let server = Server::start(Settings::default());
    let texts: Vec<String> = (0..70).map(|n| "a".repeat(n + 1)).collect();
    let reply: Value = post(&server, json!({"model": "m", "input": texts})).await.json().await.unwrap();
    assert_is("CreateEmbeddingResponse", &reply);
    let tokens: usize = (1..=70_usize).map(|letters| letters.div_ceil(4)).sum();
    assert_eq!(reply["usage"], json!({"prompt_tokens": tokens, "total_tokens": tokens}));
    let data = reply["data"].as_array().unwrap();
    assert_eq!(data.len(), 70);
    assert!(data.iter().enumerate().all(|(index, item)| item["index"] == index));
    let first = |index: usize| data[index]["embedding"][0].as_f64().unwrap();
    assert!((1..70).all(|index| first(index) > first(index - 1)));
}

#[tokio::test]
async fn base64_holds_the_same_numbers() {
    let server = Server::start(Settings::default());
    let body = |format| json!({"model": "m", "input": "bad cab", "encoding_format": format, "dimensions": 4});
    let floats: Value = post(&server, body("float")).await.json().await.unwrap();
    let packed: Value = post(&server, body("base64")).await.json().await.unwrap();
    let bytes = BASE64.decode(packed["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let unpacked: Vec<f32> =
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let floats: Vec<f32> = serde_json::from_value(floats["data"][0]["embedding"].clone()).unwrap();
    assert_eq!(unpacked, floats);
    let norm: f32 = floats.iter().map(|x| x * x).sum();
    assert!((norm - 1.0).abs() < 1e-5, "a cut vector has unit length, not {norm}");
}

#[tokio::test]
async fn inputs_that_cannot_be_embedded_are_refused() {
    let server = Server::start(Settings::default());
    for (body, says) in [
        (json!({"input": [1, 2, 3]}), "tokens"),
        (json!({"input": [[1, 2], [3]]}), "tokens"),
        (json!({"input": []}), "0 texts"),
        (json!({"input": ["a", " "]}), "text 1 of input is empty"),
        (json!({"input": vec!["a"; 2_049]}), "2049 texts"),
        (json!({"input": "a", "dimensions": 9}), "the model has 8"),
        (json!({"input": "a", "encoding_format": "hex"}), "encoding_format"),
        (json!({}), "input"),
    ] {
        let (status, message) = error(post(&server, body).await).await;
        assert_eq!(status, 400, "{message}");
        assert!(message.contains(says), "{message}");
    }
}

#[tokio::test]
async fn models_are_listed_and_found() {
    let server = Server::start(Settings::default());
    let list: Value = reqwest::get(server.url("/v1/models")).await.unwrap().json().await.unwrap();
    assert_is("ListModelsResponse", &list);
    let ids: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["fake-llm", "fake-embed", "fake-stt", "fake-tts"]);
    let one: Value = reqwest::get(server.url("/v1/models/fake-embed")).await.unwrap().json().await.unwrap();
    assert_is("Model", &one);
    let missing = reqwest::get(server.url("/v1/models/gpt-4o")).await.unwrap();
    assert_eq!(error(missing).await.0, 404);
}

#[tokio::test]
async fn voices_are_listed_for_clients_that_offer_them() {
    let server = Server::start(Settings::default());
    let get =
        async |path: &str| -> Value { reqwest::get(server.url(path)).await.unwrap().json().await.unwrap() };
    let voices = get("/v1/audio/voices").await;
    let voice = &voices["voices"][0];
    assert!(
        voice["id"].is_string() && voice["name"] == voice["id"] && voice["language"].is_string(),
        "{voices}"
    );
    let models = get("/v1/audio/models").await;
    assert!(models["models"][0]["id"].is_string(), "{models}");
}
