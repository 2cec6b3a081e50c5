use std::time::Duration;

use antiphon_core::{ErrorKind, Requester, Style};

use super::*;
use crate::remote::scripted::{self, KEY, Refusal, refusals, say, voice_over_http};

fn options(url: &str, bounds: Bounds) -> DeepgramSpeechOptions {
    let api_key = ApiKey::new(KEY);
    DeepgramSpeechOptions { base_url: url.to_owned(), api_key, bounds, ..DeepgramSpeechOptions::default() }
}

fn make(url: &str, bounds: Bounds) -> Box<dyn Tts> {
    Box::new(DeepgramSpeech::new(options(url, bounds)).expect("made"))
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
                r#"{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials.","request_id":"8b6e"}"#,
                ErrorKind::Unauthorized,
                "Invalid credentials",
            ),
            Refusal::new(
                "402 Payment Required",
                r#"{"err_code":"ASR_PAYMENT_REQUIRED","err_msg":"Project does not have enough credits.","request_id":"8b6e"}"#,
                ErrorKind::Unauthorized,
                "enough credits",
            ),
            Refusal::new(
                "400 Bad Request",
                r#"{"err_code":"INVALID_QUERY_PARAMETER","err_msg":"No such model/version combination found.","request_id":"8b6e"}"#,
                ErrorKind::Invalid,
                "No such model",
            ),
            Refusal {
                status: "429 Too Many Requests",
                headers: "retry-after: 2\r\n",
                body: r#"{"err_code":"TOO_MANY_REQUESTS","err_msg":"Too many requests. Please try again later.","request_id":"8b6e"}"#,
                kind: ErrorKind::RateLimited,
                said: "try again later",
            },
            Refusal::new("504 Gateway Timeout", "", ErrorKind::Timeout, "answered 504"),
            Refusal::new("502 Bad Gateway", "<html></html>", ErrorKind::Unavailable, "answered 502"),
        ],
    )
    .await;
    assert_eq!(errors[3].retry_after(), Some(Duration::from_secs(2)));
}

#[tokio::test]
async fn the_voice_is_the_model_and_a_style_its_pace() {
    let server = scripted::http(scripted::chunked("audio/l16", &[&[0; 960]]), false).await;
    let wanted = |style| SpeechRequest {
        voice: Some("aura-2-apollo-en".to_owned()),
        style,
        ..SpeechRequest::new(Requester::local(), "Hello.")
    };
    let voice = DeepgramSpeech::new(options(&server.url, Bounds::default())).expect("made");
    say(&voice, wanted(Style::Plain)).await.expect("said");
    say(&voice, wanted(Style::Calm)).await.expect("said");
    let old = DeepgramSpeechOptions {
        voices: voices("en-US", &["aura-asteria-en"]),
        settings: DeepgramSpeechSettings { mip_opt_out: true, ..DeepgramSpeechSettings::default() },
        rate: SampleRate::HZ_8000,
        ..options(&server.url, Bounds::default())
    };
    say(&DeepgramSpeech::new(old).expect("made"), wanted(Style::Calm)).await.expect("said");
    let brisk = DeepgramSpeechOptions {
        settings: DeepgramSpeechSettings { speed: 1.2, ..DeepgramSpeechSettings::default() },
        ..options(&server.url, Bounds::default())
    };
    say(&DeepgramSpeech::new(brisk).expect("made"), wanted(Style::Plain)).await.expect("said");
    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    for (asked, (voice, rest)) in asked.iter().zip([
        ("aura-2-apollo-en", "24000&container=none HTTP/1.1"),
        ("aura-2-apollo-en", "24000&container=none&speed=0.94 HTTP/1.1"),
        ("aura-asteria-en", "8000&container=none&mip_opt_out=true HTTP/1.1"),
        ("aura-2-apollo-en", "24000&container=none&speed=1.2 HTTP/1.1"),
    ]) {
        let path = format!("/v1/speak?model={voice}&encoding=linear16&sample_rate={rest}");
        assert!(asked.starts_with(&format!("POST {path}")), "{asked}");
        assert!(asked.contains("authorization: Token s3cret"), "{asked}");
        assert!(asked.ends_with(r#"{"text":"Hello."}"#), "{asked}");
    }
}

#[test]
fn options_are_checked_and_keep_their_key() {
    let good = || options("http://127.0.0.1:9", Bounds::default());
    assert!(!format!("{:?}", good()).contains(KEY));
    let refused = |options| DeepgramSpeech::new(options).err().expect("refused").to_string();
    assert!(
        refused(DeepgramSpeechOptions { api_key: ApiKey::new(""), ..good() }).contains("api_key is empty")
    );
    assert!(refused(DeepgramSpeechOptions { rate: SampleRate::HZ_22050, ..good() }).contains("22050"));
    let voices = voices("en", &["a&model=b"]);
    assert!(refused(DeepgramSpeechOptions { voices, ..good() }).contains("a&model=b"));
}

#[test]
fn only_newer_voices_of_two_languages_take_a_speed() {
    let taken =
        ["aura-2-thalia-en", "aura-2-celeste-es", "aura-2-rhea-nl", "aura-asteria-en"].map(takes_speed);
    assert_eq!(taken, [true, true, false, false]);
}
