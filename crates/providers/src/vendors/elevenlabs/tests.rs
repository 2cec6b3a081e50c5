use std::time::Duration;

use antiphon_core::{ErrorKind, Requester, Style};
use serde_json::{Value, json};

use super::*;
use crate::remote::scripted::{self, KEY, Refusal, refusals, say, voice_over_http};

fn options(url: &str, bounds: Bounds) -> ElevenLabsOptions {
    let api_key = ApiKey::new(KEY);
    ElevenLabsOptions { base_url: url.to_owned(), api_key, bounds, ..ElevenLabsOptions::default() }
}

fn make(url: &str, bounds: Bounds) -> Box<dyn Tts> {
    Box::new(ElevenLabs::new(options(url, bounds)).expect("made"))
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
    let settings = ElevenLabsSettings {
        stability: 0.4,
        similarity_boost: 0.9,
        style: 0.1,
        use_speaker_boost: Some(false),
        speed: 1.1,
        language: Some("de".to_owned()),
    };
    let options = ElevenLabsOptions { settings, ..options(&server.url, Bounds::default()) };
    let request = SpeechRequest { style: Style::Calm, ..SpeechRequest::new(Requester::local(), "Hallo.") };
    say(&ElevenLabs::new(options).expect("made"), request).await.expect("said");
    let asked = server.asked().remove(0);
    let path = "POST /v1/text-to-speech/JBFqnCBsd6RMkjVDRZzb/stream?output_format=pcm_24000 HTTP/1.1";
    assert!(asked.starts_with(path) && asked.contains("xi-api-key: s3cret"), "{asked}");
    let body: Value = serde_json::from_str(asked.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
    let settings = json!({
        "stability": 0.6, "similarity_boost": 0.9, "style": 0.1, "use_speaker_boost": false, "speed": 1.03,
    });
    assert_eq!(
        body,
        json!({ "text": "Hallo.", "model_id": "eleven_flash_v2_5", "language_code": "de", "voice_settings": settings })
    );
}

#[test]
fn options_are_checked_and_keep_their_key() {
    let good = || options("http://127.0.0.1:9", Bounds::default());
    assert!(!format!("{:?}", good()).contains(KEY));
    let refused = |options| ElevenLabs::new(options).err().expect("refused").to_string();
    assert!(refused(ElevenLabsOptions { api_key: ApiKey::new(""), ..good() }).contains("api_key is empty"));
    assert!(refused(ElevenLabsOptions { rate: SampleRate::HZ_48000, ..good() }).contains("48000"));
    assert!(refused(ElevenLabsOptions { voices: voices("en", &["../x"]), ..good() }).contains("../x"));
    let loud = ElevenLabsSettings { style: 1.5, ..ElevenLabsSettings::default() };
    let said = refused(ElevenLabsOptions { settings: loud, ..good() });
    assert!(said.contains("[tts.elevenlabs] style = 1.5 must be between 0 and 1"), "{said}");
}
