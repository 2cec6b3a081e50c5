use std::time::Duration;

use antiphon_core::{ErrorKind, Requester};

use super::*;
use crate::remote::scripted::{self, KEY, Refusal, refusals, say, voice_over_http};

fn options(url: &str, bounds: Bounds) -> OpenAiSpeechOptions {
    let api_key = Some(ApiKey::new(KEY));
    OpenAiSpeechOptions { base_url: format!("{url}/v1"), api_key, bounds, ..OpenAiSpeechOptions::default() }
}

fn make(url: &str, bounds: Bounds) -> Box<dyn Tts> {
    Box::new(OpenAiSpeech::new(options(url, bounds)).expect("made"))
}

#[tokio::test]
async fn good_and_bad_answers() {
    voice_over_http(make).await;
}

#[tokio::test]
async fn its_refusals_keep_their_words() {
    let wait = "retry-after: 7\r\nx-ratelimit-limit-requests: 500\r\nx-ratelimit-remaining-requests: 0\r\n\
                x-ratelimit-reset-requests: 120ms\r\n";
    let errors = refusals(
        make,
        &[
            Refusal::new(
                "401 Unauthorized",
                r#"{"error":{"message":"Incorrect API key provided: s***t.","type":"invalid_request_error",
                    "param":null,"code":"invalid_api_key"}}"#,
                ErrorKind::Unauthorized,
                "Incorrect API key",
            ),
            Refusal::new(
                "404 Not Found",
                r#"{"error":{"message":"The model `gpt-5-tts` does not exist.","type":"invalid_request_error",
                    "param":null,"code":"model_not_found"}}"#,
                ErrorKind::NotFound,
                "gpt-5-tts",
            ),
            Refusal::new(
                "400 Bad Request",
                r#"{"detail":{"error":"validation_error","message":"Voice 'x' not found.",
                    "type":"invalid_request_error"}}"#,
                ErrorKind::Invalid,
                "Voice 'x' not found",
            ),
            Refusal {
                status: "429 Too Many Requests",
                headers: wait,
                body: r#"{"error":{"message":"Rate limit reached for requests.","type":"requests","code":"rate_limit_exceeded"}}"#,
                kind: ErrorKind::RateLimited,
                said: "Rate limit reached",
            },
            Refusal::new(
                "503 Service Unavailable",
                "<html>overloaded</html>",
                ErrorKind::Unavailable,
                "answered 503",
            ),
        ],
    )
    .await;
    assert_eq!(errors[3].retry_after(), Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_style_becomes_instructions_or_pace() {
    let server = scripted::http(scripted::chunked("audio/pcm", &[&[0; 960]]), false).await;
    let gentle = || SpeechRequest {
        voice: Some("coral".to_owned()),
        speed: 2.0,
        style: Style::Gentle,
        ..SpeechRequest::new(Requester::local(), "**All** is well 🙂.")
    };
    let limits = Arc::default();
    let base = Some("Speak as a nurse.".to_owned());
    let takes = OpenAiSpeechOptions {
        instructions: base,
        limits: Arc::clone(&limits),
        ..options(&server.url, Bounds::default())
    };
    let takes_none = OpenAiSpeechOptions { instructions: None, ..options(&server.url, Bounds::default()) };
    for options in [takes, takes_none, options(&server.url, Bounds::default())] {
        let voice = OpenAiSpeech::new(options).expect("made");
        assert_eq!(say(&voice, gentle()).await.expect("said").len(), 480);
    }
    let bodies: Vec<Value> = server
        .asked()
        .iter()
        .map(|asked| {
            assert!(asked.starts_with("POST /v1/audio/speech HTTP/1.1"), "{asked}");
            assert!(asked.contains("authorization: Bearer s3cret"), "{asked}");
            serde_json::from_str(asked.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
        })
        .collect();
    assert_eq!(
        bodies[0],
        json!({ "model": "gpt-4o-mini-tts", "input": "All is well .", "voice": "coral", "response_format": "pcm",
            "speed": 2.0, "instructions": "Speak as a nurse. Speak gently: soft, unhurried and full of sympathy." })
    );
    assert_eq!((&bodies[1]["speed"], bodies[1].get("instructions")), (&json!(1.88), None));
    assert_eq!(bodies[2]["instructions"], instruction(Style::Gentle));
}

#[test]
fn options_are_checked_and_keep_their_key() {
    let shown = format!("{:?}", options("http://127.0.0.1:9", Bounds::default()));
    assert!(shown.contains("127.0.0.1") && !shown.contains(KEY), "{shown}");
    let refused = |options| OpenAiSpeech::new(options).err().expect("refused").to_string();
    assert!(refused(options("nowhere", Bounds::default())).contains("[tts] base_url"));
    let keyless = OpenAiSpeechOptions { api_key: Some(ApiKey::new("")), ..OpenAiSpeechOptions::default() };
    assert!(refused(keyless).contains("api_key is empty"));
    let voiceless = OpenAiSpeechOptions { voices: Vec::new(), ..OpenAiSpeechOptions::default() };
    assert!(refused(voiceless).contains("voice"));
}
