//! Who may connect over Realtime, and how.

use antiphon_desk::Keys;
use antiphon_server::settings::Settings;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::Server;
use crate::support::schema::assert_is;

fn keyed() -> Server {
    Server::start(Settings { keys: Keys::new(["sk-test"]), ..Settings::default() })
}

/// Connects with a header. Returns the subprotocol that was agreed on, or the status and the error.
async fn connect(
    server: &Server,
    path: &str,
    header: (&'static str, &str),
) -> Result<Option<String>, (u16, Value)> {
    let mut request = server.socket(path).into_client_request().unwrap();
    request.headers_mut().insert(header.0, header.1.parse().unwrap());
    match connect_async(request).await {
        Ok((_, response)) => {
            let protocol = response.headers().get("sec-websocket-protocol");
            Ok(protocol.map(|protocol| protocol.to_str().unwrap().to_owned()))
        }
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            Err((response.status().as_u16(), serde_json::from_slice(&body).unwrap_or_default()))
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn keys_come_in_headers_or_as_a_subprotocol() {
    let server = keyed();
    let path = "/v1/realtime?model=m";
    assert_eq!(connect(&server, path, ("authorization", "Bearer sk-test")).await, Ok(None));
    assert_eq!(connect(&server, "/openai/v1/realtime", ("api-key", "sk-test")).await, Ok(None));
    let protocols = "realtime, openai-insecure-api-key.sk-test, openai-agents-sdk.0.20.0";
    let answered = connect(&server, path, ("sec-websocket-protocol", protocols)).await;
    assert_eq!(answered, Ok(Some("realtime".to_owned())), "never the one with the key");
    let (status, body) = connect(&server, path, ("authorization", "Bearer sk-other")).await.unwrap_err();
    assert_eq!((status, &body["error"]["code"]), (401, &json!("invalid_api_key")));
}

#[tokio::test]
async fn a_client_secret_opens_the_session_it_was_made_for_and_nothing_else() {
    let server = keyed();
    let http = reqwest::Client::new();
    let post = |key: &str, body: Value| {
        http.post(server.url("/v1/realtime/client_secrets")).bearer_auth(key).json(&body).send()
    };
    let session = json!({ "type": "realtime", "instructions": "Be brief.", "output_modalities": ["text"] });
    let response = post(
        "sk-test",
        json!({ "expires_after": { "anchor": "created_at", "seconds": 60 }, "session": session }),
    );
    let mut made: Value = response.await.unwrap().json().await.unwrap();
    let secret = made["value"].as_str().unwrap().to_owned();
    for field in ["noise_reduction", "transcription"] {
        made["session"]["audio"]["input"].as_object_mut().unwrap().remove(field);
    }
    for field in ["prompt", "include"] {
        made["session"].as_object_mut().unwrap().remove(field);
    }
    assert_is("RealtimeCreateClientSecretResponse", &made);
    assert!(secret.starts_with("ek_"));
    let protocols = format!("realtime, openai-insecure-api-key.{secret}");
    let mut request = server.socket("/v1/realtime").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    let Some(Ok(Message::Text(created))) = futures_util::StreamExt::next(&mut socket).await else {
        panic!("no session")
    };
    let created: Value = serde_json::from_str(&created).unwrap();
    assert_eq!(created["session"]["instructions"], "Be brief.");
    let models = http.get(server.url("/v1/models")).bearer_auth(&secret).send().await.unwrap();
    assert_eq!(models.status(), 401);
    assert_eq!(post(&secret, json!({})).await.unwrap().status(), 401);
    let wrong =
        post("sk-test", json!({ "session": { "type": "realtime", "max_output_tokens": 0 } })).await.unwrap();
    assert_eq!(wrong.status(), 400);
    let message = wrong.text().await.unwrap();
    assert!(message.contains("session.max_output_tokens"), "{message}");
}

#[tokio::test]
async fn what_is_not_served_is_refused_before_the_upgrade() {
    let server = keyed();
    let key = ("authorization", "Bearer sk-test");
    let (status, body) = connect(&server, "/v1/realtime?call_id=rtc_1", key).await.unwrap_err();
    assert_eq!((status, &body["error"]["code"]), (404, &json!("call_not_found")));
    let (status, body) = connect(&server, "/v1/realtime?intent=translation", key).await.unwrap_err();
    assert_eq!((status, &body["error"]["param"]), (400, &json!("intent")));
    let mut request = server.socket("/v1/realtime").into_client_request().unwrap();
    request.headers_mut().insert("authorization", "Bearer sk-test".parse().unwrap());
    request.headers_mut().insert("openai-beta", "realtime=v1".parse().unwrap());
    let Err(Error::Http(response)) = connect_async(request).await else { panic!("the beta is not served") };
    let body = String::from_utf8(response.into_body().unwrap_or_default()).unwrap();
    assert!(body.contains("beta_api_shape_disabled"), "{body}");
}
