//! Telnyx media streaming: the webhook, and a call with Telnyx's own messages.

use std::time::Duration;

use antiphon_audio::Law;
use antiphon_server::settings::Settings;
use antiphon_transports::telephony::TelephonySettings;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::{SinkExt, StreamExt};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::Server;
use crate::support::tools::until;

const PATIENCE: Duration = Duration::from_secs(20);
const FRAME: Duration = Duration::from_millis(20);
const TOKEN: &str = "a stream's token";

/// The key with which the account signs webhook requests.
fn account() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn server() -> Server {
    let telephony = TelephonySettings {
        telnyx_public_key: Some(BASE64.encode(account().public_key().as_ref())),
        telnyx_stream_token: Some(TOKEN.to_owned()),
        ..TelephonySettings::default()
    };
    Server::start_speaking(Settings { telephony, ..Settings::default() })
}

/// The webhook's answer to a call whose request this account has signed.
async fn webhook(server: &Server, account: &Ed25519KeyPair) -> reqwest::Response {
    let body = "CallSid=v3%3A1&From=%2B13122010094&To=%2B13122123456";
    let now = antiphon_telemetry::unix_time().as_secs();
    let signature = BASE64.encode(account.sign(format!("{now}|{body}").as_bytes()));
    let post = reqwest::Client::new().post(server.url("/telephony/telnyx")).body(body);
    let post = post.header("content-type", "application/x-www-form-urlencoded");
    let post = post.header("telnyx-timestamp", now).header("telnyx-signature-ed25519", signature);
    post.send().await.unwrap()
}

fn start() -> Value {
    let format = json!({ "encoding": "PCMU", "sample_rate": 8000, "channels": 1 });
    let start = json!({ "call_control_id": "v3:1", "from": "+13122010094", "media_format": format });
    json!({ "event": "start", "sequence_number": "1", "stream_id": "32DE", "start": start })
}

#[tokio::test]
async fn a_caller_is_connected_by_the_webhook_heard_and_answered() {
    let server = server();
    let answer = webhook(&server, &account()).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"text/xml; charset=utf-8".parse().unwrap())
    );
    let texml = answer.text().await.unwrap();
    assert!(texml.contains("<Connect><Stream ") && texml.contains("bidirectionalMode=\"rtp\""), "{texml}");
    let url = texml.split("url=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(url.starts_with(&server.socket("/telephony/telnyx/media?ticket=")), "{url}");

    let (mut socket, _) = connect_async(url).await.expect("the ticket lets Telnyx in");
    for message in [json!({ "event": "connected", "version": "1.0.0" }), start()] {
        socket.send(Message::text(message.to_string())).await.unwrap();
    }
    let mut mulaw = Vec::new();
    let tone: Vec<i16> = (0..160).map(|n| if n / 20 % 2 == 0 { 6_000 } else { -6_000 }).collect();
    Law::Mu.encode_into(&tone, &mut mulaw);
    let (speech, silence) = (BASE64.encode(&mulaw), BASE64.encode([0xFF; 160]));
    // Neighbouring pieces are swapped, so that each second piece comes before the one that it should follow.
    let pieces = (0..130).map(|n: u64| n ^ 1);
    let mut heard = Vec::new();
    let mut frames = tokio::time::interval(FRAME);
    for n in pieces {
        frames.tick().await;
        let payload = if n < 55 { &speech } else { &silence };
        let media = json!({ "track": "inbound", "chunk": n.to_string(), "payload": payload });
        let media = json!({ "event": "media", "stream_id": "32DE", "media": media });
        socket.send(Message::text(media.to_string())).await.unwrap();
    }
    while !heard.iter().any(|message: &Value| message["event"] == "mark") {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("in time");
        if let Message::Text(text) = message.unwrap().unwrap() {
            heard.push(serde_json::from_str(&text).unwrap());
        }
    }
    let audio = heard.iter().filter(|message| message["event"] == "media");
    let bytes: usize = audio
        .map(|message| BASE64.decode(message["media"]["payload"].as_str().unwrap()).unwrap().len())
        .sum();
    assert!(bytes > 1_600, "one word: {bytes} bytes");
    socket.send(Message::text(json!({ "event": "stop", "stream_id": "32DE" }).to_string())).await.unwrap();
    until("the call is over", || server.app.desk.calls.active() == 0).await;
}

#[tokio::test]
async fn whoever_is_not_telnyx_is_not_let_in() {
    let server = server();
    let stranger = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    assert_eq!(webhook(&server, &stranger).await.status(), 403);
    let unsigned = reqwest::Client::new().post(server.url("/telephony/telnyx")).body("CallSid=1");
    assert_eq!(unsigned.send().await.unwrap().status(), 403);

    let connect = async |query: &str, token: Option<&str>| {
        let url = server.socket(&format!("/telephony/telnyx/media{query}"));
        let mut request = url.into_client_request().unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("x-telnyx-streaming-auth-token", token.parse().unwrap());
        }
        match connect_async(request).await {
            Ok(_) => 101,
            Err(Error::Http(refused)) => refused.status().as_u16(),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(connect("", None).await, 403);
    assert_eq!(connect("?ticket=9999999999.AAAA", None).await, 403);
    assert_eq!(connect("", Some("another token")).await, 403);
    assert_eq!(connect("", Some(TOKEN)).await, 101);
}
