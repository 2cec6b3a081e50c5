//! The messages of Cartesia's WebSocket, as they are sent and read.

use antiphon_core::{Error, Result, SampleRate, SpeechRequest, Style, Voice};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::remote::Remote;
use crate::remote::speech::setting;

/// The path of the WebSocket, with the version of the protocol.
pub(super) const PATH: &str = "/tts/websocket?cartesia_version=2025-04-16";
/// The header of the key.
pub(super) const KEY: &str = "x-api-key";
/// The lowest and the highest speed.
pub(super) const SPEEDS: (f64, f64) = (0.6, 1.5);

/// A clause to be spoken.
pub(super) struct Say<'a> {
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    pub(super) voice: &'a Voice,
    pub(super) rate: SampleRate,
    pub(super) text: &'a str,
}

/// The message that requests a clause.
pub(super) fn request(say: &Say<'_>, request: &SpeechRequest) -> String {
    let language = say.voice.language.split('-').next().unwrap_or_default();
    let mut message = json!({
        "model_id": say.model,
        "transcript": say.text,
        "voice": { "mode": "id", "id": say.voice.id },
        "language": language,
        "context_id": say.id,
        "output_format": { "container": "raw", "encoding": "pcm_s16le", "sample_rate": say.rate.hz() },
        "add_timestamps": false,
        "continue": false,
    });
    // Models before Sonic 3 do not know these settings, so they are sent only when they differ from the defaults.
    let speed = setting(request.speed * request.style.pace(), SPEEDS);
    if speed != 1.0 {
        message["generation_config"]["speed"] = json!(speed);
    }
    if let Some(emotion) = emotion(request.style) {
        message["generation_config"]["emotion"] = json!(emotion);
    }
    message.to_string()
}

/// The emotion of Cartesia's that corresponds to a style.
fn emotion(style: Style) -> Option<&'static str> {
    match style {
        Style::Plain => None,
        Style::Cheerful => Some("happy"),
        Style::Calm => Some("calm"),
        Style::Gentle => Some("sympathetic"),
        Style::Reassuring => Some("confident"),
    }
}

/// The message that cancels a clause.
pub(super) fn cancel(id: &str) -> String {
    json!({ "context_id": id, "cancel": true }).to_string()
}

/// The content of a message.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    /// The clause that it belongs to.
    pub(super) id: Option<String>,
    pub(super) event: Event,
}

/// What a message reports.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// A piece of audio, in base64.
    Audio(String),
    /// The clause is complete.
    Done,
    /// The clause, or the connection, has failed.
    Failed(Error),
    /// Something that is not needed here.
    Other,
}

#[derive(Deserialize)]
struct RawAnswer {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    context_id: Option<String>,
    #[serde(default)]
    data: Option<String>,
    #[serde(default)]
    status_code: Option<u16>,
    /// The error message in protocol versions before 2026.
    #[serde(default)]
    error: Option<Value>,
    /// The error message in protocol versions from 2026 on.
    #[serde(default)]
    message: Option<String>,
}

/// Reads a message of the server; fails if it is not of the form that Cartesia describes.
pub(super) fn answer(remote: &Remote, text: &str) -> Result<Answer> {
    let raw: RawAnswer =
        serde_json::from_str(text).map_err(|e| remote.protocol(&format!("no valid JSON: {e}")))?;
    let event = match raw.kind.as_str() {
        "chunk" => Event::Audio(raw.data.unwrap_or_default()),
        "done" => Event::Done,
        "error" => {
            let error = raw.error.as_ref().and_then(Value::as_str);
            let said = raw.message.as_deref().or(error).unwrap_or_default();
            let status = raw.status_code.and_then(|status| StatusCode::from_u16(status).ok());
            Event::Failed(match status {
                Some(status) => remote.answered_with(status, said, None),
                None => remote.failed(said),
            })
        }
        _ => Event::Other,
    };
    Ok(Answer { id: raw.context_id, event })
}

#[cfg(test)]
mod tests {
    use antiphon_core::ErrorKind;
    use proptest::prelude::*;

    use antiphon_core::Requester;

    use super::*;

    fn read(text: &str) -> Result<Answer> {
        answer(&Remote::new("http://127.0.0.1:9", "Cartesia", "[tts]").expect("a URL"), text)
    }

    fn asked(style: Style, speed: f32) -> Value {
        let voice = Voice { id: "v".to_owned(), language: "en-US".to_owned() };
        let say = Say { id: "c", model: "sonic-3", voice: &voice, rate: SampleRate::HZ_16000, text: "Hi." };
        let wanted = SpeechRequest { style, speed, ..SpeechRequest::new(Requester::local(), "Hi.") };
        serde_json::from_str(&request(&say, &wanted)).expect("JSON")
    }

    #[test]
    fn a_plain_clause_asks_for_nothing_special() {
        let expected = json!({
            "model_id": "sonic-3", "transcript": "Hi.", "voice": { "mode": "id", "id": "v" }, "language": "en",
            "context_id": "c", "add_timestamps": false, "continue": false,
            "output_format": { "container": "raw", "encoding": "pcm_s16le", "sample_rate": 16_000 },
        });
        assert_eq!(asked(Style::Plain, 1.0), expected);
        let controls = json!({ "speed": 0.94, "emotion": "sympathetic" });
        assert_eq!(asked(Style::Gentle, 1.0)["generation_config"], controls);
        assert_eq!(asked(Style::Plain, 4.0)["generation_config"]["speed"], 1.5);
    }

    #[test]
    fn answers_of_both_generations_are_read() {
        let event = |text: &str| read(text).expect("read").event;
        let chunk = r#"{"type":"chunk","data":"AAAA","done":false,"status_code":206,"step_time":12,"context_id":"c"}"#;
        let expected = Answer { id: Some("c".to_owned()), event: Event::Audio("AAAA".to_owned()) };
        assert_eq!(read(chunk).expect("read"), expected);
        let done = r#"{"type":"done","done":true,"status_code":206,"context_id":"c"}"#;
        assert_eq!(event(done), Event::Done);
        let stamps = r#"{"type":"timestamps","done":false,"status_code":206,"context_id":"c",
            "word_timestamps":{"words":["Hi"],"start":[0],"end":[0.4]}}"#;
        assert_eq!(event(stamps), Event::Other);
        for (text, kind, said) in [
            (
                r#"{"type":"error","done":true,"error":"Invalid model: The model is not valid.","status_code":400,
                    "context_id":"c"}"#,
                ErrorKind::Invalid,
                "Invalid model",
            ),
            (
                r#"{"type":"error","done":true,"status_code":429,"error_code":"concurrency_limited",
                    "title":"Too many concurrent requests","message":"You have exceeded your plan's limit.",
                    "request_id":"r","context_id":"c"}"#,
                ErrorKind::RateLimited,
                "exceeded your plan",
            ),
            (r#"{"type":"error","error":"gone"}"#, ErrorKind::Unavailable, "gone"),
        ] {
            let Event::Failed(error) = event(text) else { panic!("an error: {text}") };
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(said), "{error}");
        }
        assert_eq!(read("<html>").expect_err("no JSON").kind(), ErrorKind::Protocol);
    }

    proptest! {
        #[test]
        fn any_message_is_taken(text in "\\PC{0,60}", json in "[{}\\[\\]\":,a-zA-Z0-9]{0,60}") {
            let _ = (read(&text), read(&json), read(&format!("{{\"type\":\"{text}\",\"data\":\"{text}\"}}")));
        }
    }
}
