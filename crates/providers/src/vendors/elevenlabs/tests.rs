use antiphon_core::{ErrorKind, Requester, Style};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::ErrorResponse;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;
use crate::remote::scripted::{
    self, KEY, Refusal, SAMPLES, Server, bytes, refusals, say, sockets, speech, voice_over_http,
};

fn options(url: &str, bounds: Bounds) -> ElevenLabsOptions {
    let api_key = KEY.to_owned();
    ElevenLabsOptions { base_url: url.to_owned(), api_key, bounds, ..ElevenLabsOptions::default() }
}

fn make(url: &str, bounds: Bounds) -> Box<dyn Tts> {
    Box::new(ElevenLabs::new(options(url, bounds)).expect("made"))
}

fn over_socket(url: &str, bounds: Bounds) -> ElevenLabs {
    let transport = ElevenLabsTransport::WebSocket;
    ElevenLabs::new(ElevenLabsOptions { transport, ..options(url, bounds) }).expect("made")
}

#[tokio::test]
async fn good_and_bad_answers() {
    voice_over_http(make).await;
}

#[tokio::test]
async fn its_refusals_keep_their_words() {
    let errors = refusals(
        make,
        &[
            Refusal::new(
                "401 Unauthorized",
                r#"{"detail":{"status":"invalid_api_key","message":"Invalid API key"}}"#,
                ErrorKind::Unauthorized,
                "Invalid API key",
            ),
            Refusal::new(
                "401 Unauthorized",
                r#"{"detail":{"status":"quota_exceeded","message":"This request exceeds your quota of 10000. You have 0 credits remaining, while 91 credits are required for this request."}}"#,
                ErrorKind::Unauthorized,
                "exceeds your quota",
            ),
            Refusal::new(
                "404 Not Found",
                r#"{"detail":{"status":"voice_not_found","message":"A voice with voice_id x was not found."}}"#,
                ErrorKind::NotFound,
                "voice_id x",
            ),
            Refusal {
                status: "429 Too Many Requests",
                headers: "retry-after: 1\r\n",
                body: r#"{"detail":{"status":"too_many_concurrent_requests","message":"Too many concurrent requests."}}"#,
                kind: ErrorKind::RateLimited,
                said: "Too many concurrent",
            },
            Refusal::new("500 Internal Server Error", "Internal Server Error", ErrorKind::Unavailable, "500"),
        ],
    )
    .await;
    assert_eq!(errors[3].retry_after(), Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn a_clause_over_http_says_how_it_is_to_sound() {
    let server = scripted::http(scripted::chunked("audio/pcm", &[&[0; 960]]), false).await;
    let options =
        ElevenLabsOptions { language: Some("de".to_owned()), ..options(&server.url, Bounds::default()) };
    let request = SpeechRequest { style: Style::Calm, ..SpeechRequest::new(Requester::local(), "Hallo.") };
    say(&ElevenLabs::new(options).expect("made"), request).await.expect("said");
    let asked = server.asked().remove(0);
    let path = "POST /v1/text-to-speech/JBFqnCBsd6RMkjVDRZzb/stream?output_format=pcm_24000 HTTP/1.1";
    assert!(asked.starts_with(path) && asked.contains("xi-api-key: s3cret"), "{asked}");
    let body: Value = serde_json::from_str(asked.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
    let settings = json!({ "stability": 0.7, "similarity_boost": 0.75, "style": 0.0, "speed": 0.94 });
    assert_eq!(
        body,
        json!({ "text": "Hallo.", "model_id": "eleven_flash_v2_5", "language_code": "de", "voice_settings": settings })
    );
}

/// A server that takes the three messages of a clause, answers with these, and breaks the connection.
async fn answering(answers: Vec<Message>, stalls: bool) -> Server {
    sockets(None, move |_, mut socket: WebSocketStream<TcpStream>| {
        let answers = answers.clone();
        async move {
            let mut messages = Vec::new();
            while messages.len() < 3 {
                let Some(Ok(Message::Text(text))) = socket.next().await else { return };
                messages.push(serde_json::from_str::<Value>(&text).expect("JSON"));
            }
            assert_eq!(messages[0]["text"], " ");
            assert_eq!(messages[0]["voice_settings"]["similarity_boost"], 0.75);
            assert!(messages[1]["text"].as_str().is_some_and(|text| text.ends_with(". ")), "{messages:?}");
            assert_eq!((&messages[1]["flush"], &messages[2]), (&json!(true), &json!({ "text": "" })));
            for answer in answers {
                let _ = socket.send(answer).await;
            }
            if stalls {
                let _ = socket.next().await;
            }
        }
    })
    .await
}

fn audio(bytes: &[u8]) -> Message {
    let alignment = json!({ "chars": ["H"], "charStartTimesMs": [0], "charDurationsMs": [80] });
    Message::text(
        json!({ "audio": BASE64_STANDARD.encode(bytes), "isFinal": null, "normalizedAlignment": alignment,
            "alignment": null })
        .to_string(),
    )
}

fn done() -> Message {
    Message::text(json!({ "audio": null, "isFinal": true }).to_string())
}

async fn hello(answers: Vec<Message>) -> Result<Vec<i16>> {
    let server = answering(answers, false).await;
    say(&over_socket(&server.url, Bounds::default()), SpeechRequest::new(Requester::local(), "Hello.")).await
}

#[tokio::test]
async fn a_socket_obeys_the_spec() {
    let speech = bytes(&speech());
    let server = answering(vec![audio(&speech[..999]), audio(&speech[999..]), done()], false).await;
    crate::spec::tts(&over_socket(&server.url, Bounds::default())).await;
    let asked = server.asked().remove(0);
    let path = "/v1/text-to-speech/JBFqnCBsd6RMkjVDRZzb/stream-input?model_id=eleven_flash_v2_5\
                &output_format=pcm_24000&auto_mode=true&inactivity_timeout=20";
    assert!(asked.starts_with(path) && asked.contains("\"xi-api-key\": \"s3cret\""), "{asked}");
}

#[tokio::test]
async fn a_socket_never_gives_less_than_all_without_an_error() {
    let (half, whole) = (bytes(&SAMPLES[..6]), bytes(&SAMPLES));
    let text = |text: &str| Message::text(text.to_owned());
    let with_audio_in_the_end =
        Message::text(json!({ "audio": BASE64_STANDARD.encode(&whole[12..]), "isFinal": true }).to_string());
    assert_eq!(hello(vec![audio(&half), with_audio_in_the_end]).await.expect("whole"), SAMPLES);
    let normal = Message::Close(Some(CloseFrame { code: 1000.into(), reason: "".into() }));
    let policy = Message::Close(Some(CloseFrame { code: 1008.into(), reason: "no new text".into() }));
    let quota = r#"{"message":"This request exceeds your quota.","error":"quota_exceeded","code":1008}"#;
    for (answers, kind, said) in [
        (vec![audio(&whole)], ErrorKind::Unavailable, "broke off"),
        (vec![audio(&whole), normal], ErrorKind::Unavailable, "broke off"),
        (vec![audio(&whole), policy], ErrorKind::Unauthorized, "no new text"),
        (vec![text(quota)], ErrorKind::Unauthorized, "exceeds your quota"),
        (vec![audio(&whole), text("{\"audio\":\"AA")], ErrorKind::Protocol, "JSON"),
        (vec![text("{\"audio\":\"??\"}")], ErrorKind::Protocol, "base64"),
        (vec![audio(&whole[1..]), done()], ErrorKind::Unavailable, "broke off"),
        (vec![done()], ErrorKind::Protocol, "no audio"),
        (vec![audio(b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0")], ErrorKind::Protocol, "WAV"),
        (vec![Message::binary(whole.clone())], ErrorKind::Protocol, "binary"),
        (vec![text(&" ".repeat(9 << 20))], ErrorKind::Protocol, "endless message"),
    ] {
        let error = hello(answers).await.expect_err(said);
        assert_eq!(error.kind(), kind, "{said}: {error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    let stalling = answering(vec![audio(&whole)], true).await;
    let bounds = Bounds { between: Duration::from_millis(100), ..Bounds::default() };
    let error =
        say(&over_socket(&stalling.url, bounds), SpeechRequest::new(Requester::local(), "Hello.")).await;
    assert_eq!(error.expect_err("stalled").kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_refused_socket_says_why_and_for_how_long() {
    let refuse: fn() -> ErrorResponse = || {
        let body = r#"{"detail":{"status":"system_busy","message":"The system is busy."}}"#;
        let mut response = ErrorResponse::new(Some(body.to_owned()));
        *response.status_mut() = reqwest::StatusCode::TOO_MANY_REQUESTS;
        response.headers_mut().insert("retry-after", HeaderValue::from_static("3"));
        response
    };
    let server = sockets(Some(refuse), |_, _| async {}).await;
    let error =
        say(&over_socket(&server.url, Bounds::default()), SpeechRequest::new(Requester::local(), "Hello."))
            .await;
    let error = error.expect_err("refused");
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::from_secs(3))));
    let gone = say(
        &over_socket("http://127.0.0.1:9", Bounds::default()),
        SpeechRequest::new(Requester::local(), "Hello."),
    )
    .await;
    assert_eq!(gone.expect_err("nobody there").kind(), ErrorKind::Unavailable);
}

#[test]
fn options_are_checked_and_keep_their_key() {
    let good = || options("http://127.0.0.1:9", Bounds::default());
    assert!(!format!("{:?}", good()).contains(KEY));
    let refused = |options| ElevenLabs::new(options).err().expect("refused").to_string();
    assert!(refused(ElevenLabsOptions { api_key: String::new(), ..good() }).contains("api_key is missing"));
    assert!(refused(ElevenLabsOptions { rate: SampleRate::HZ_48000, ..good() }).contains("48000"));
    assert!(refused(ElevenLabsOptions { voices: voices("en", &["../x"]), ..good() }).contains("../x"));
    let loud = ElevenLabsVoiceSettings { style: 1.5, ..ElevenLabsVoiceSettings::default() };
    assert!(refused(ElevenLabsOptions { voice_settings: loud, ..good() }).contains("between 0 and 1"));
    let v3 = ElevenLabsOptions {
        model: "eleven_v3".to_owned(),
        transport: ElevenLabsTransport::WebSocket,
        ..good()
    };
    assert!(refused(v3).contains("has no WebSocket"));
}
