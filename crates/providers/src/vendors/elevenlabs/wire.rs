//! The messages of `ElevenLabs`.

use antiphon_core::{Result, SpeechRequest, Style};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ElevenLabsOptions;
use crate::remote::Remote;
use crate::remote::speech::setting;

/// The lowest and the highest speed.
const SPEEDS: (f32, f32) = (0.7, 1.2);
/// The lowest and the highest value of the other settings.
const SHARES: (f32, f32) = (0.0, 1.0);

/// Whether a model is of the third generation, which has no WebSocket and only three levels of stability.
pub(super) fn is_v3(model: &str) -> bool {
    model.starts_with("eleven_v3")
}

/// What a style adds to the settings stability and style. According to the vendor's guide, less stability
/// widens the range of emotions, and more makes it narrower. The steps are small, so that the voice still
/// sounds like the same person.
fn departure(style: Style) -> (f32, f32) {
    match style {
        Style::Plain => (0.0, 0.0),
        Style::Cheerful => (-0.15, 0.2),
        Style::Calm => (0.2, 0.0),
        Style::Gentle => (0.1, 0.0),
        Style::Reassuring => (0.15, 0.0),
    }
}

fn voice_settings(options: &ElevenLabsOptions, request: &SpeechRequest) -> Value {
    let (stability, style) = departure(request.style);
    let mut stability = setting(options.voice_settings.stability + stability, SHARES);
    if is_v3(&options.model) {
        // The three levels are 0 (creative), 0.5 (natural) and 1 (robust).
        stability = (stability * 2.0).round() / 2.0;
    }
    json!({
        "stability": stability,
        "similarity_boost": setting(options.voice_settings.similarity_boost, SHARES),
        "style": setting(options.voice_settings.style + style, SHARES),
        "speed": setting(request.speed * request.style.pace(), SPEEDS),
    })
}

/// The body of an HTTP request.
pub(super) fn body(options: &ElevenLabsOptions, text: &str, request: &SpeechRequest) -> Value {
    let mut body = json!({
        "text": text,
        "model_id": options.model,
        "voice_settings": voice_settings(options, request),
    });
    if let Some(language) = &options.language {
        body["language_code"] = json!(language);
    }
    body
}

/// The messages of a clause: its settings, its text, and the end. There is no `generation_config`, because `auto_mode`
/// switches off its schedule of chunk lengths.
pub(super) fn messages(options: &ElevenLabsOptions, text: &str, request: &SpeechRequest) -> [String; 3] {
    let begin = json!({ "text": " ", "voice_settings": voice_settings(options, request) });
    // The API requires a space after each text.
    let say = json!({ "text": format!("{} ", text.trim()), "flush": true });
    [begin, say, json!({ "text": "" })].map(|message| message.to_string())
}

/// The content of a message.
#[derive(Debug)]
pub(super) struct Answer {
    /// Audio in base64.
    pub(super) audio: Option<String>,
    pub(super) is_final: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAnswer {
    #[serde(default)]
    audio: Option<String>,
    #[serde(default)]
    is_final: Option<bool>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

/// Reads a message.
pub(super) fn answer(remote: &Remote, text: &str) -> Result<Answer> {
    let raw: RawAnswer =
        serde_json::from_str(text).map_err(|e| remote.protocol(&format!("no valid JSON: {e}")))?;
    let said = raw.message.as_deref().unwrap_or_default();
    if let Some(error) = raw.error {
        let said = if said.is_empty() { &error } else { said };
        return Err(match status(&error) {
            Some(status) => remote.answered_with(status, said, None),
            None => remote.failed(said),
        });
    }
    if raw.audio.is_none() && raw.is_final.is_none() && !said.is_empty() {
        return Err(remote.failed(said));
    }
    let audio = raw.audio.filter(|audio| !audio.is_empty());
    Ok(Answer { audio, is_final: raw.is_final.unwrap_or(false) })
}

/// The HTTP status that corresponds to an error on the WebSocket, which closes with 1008 for every error.
fn status(error: &str) -> Option<StatusCode> {
    Some(match error {
        "invalid_api_key"
        | "missing_api_key"
        | "invalid_authorization_header"
        | "missing_permissions"
        | "authentication_required" => StatusCode::UNAUTHORIZED,
        "quota_exceeded" | "payment_required" => StatusCode::PAYMENT_REQUIRED,
        "voice_not_found" | "voice_id_does_not_exist" | "model_not_found" => StatusCode::NOT_FOUND,
        "rate_limit_exceeded"
        | "too_many_concurrent_requests"
        | "concurrent_limit_exceeded"
        | "system_busy" => StatusCode::TOO_MANY_REQUESTS,
        "invalid_input_message" | "max_character_limit_exceeded" | "invalid_voice_settings" => {
            StatusCode::BAD_REQUEST
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use antiphon_core::ErrorKind;
    use proptest::prelude::*;

    use antiphon_core::Requester;

    use super::*;

    fn read(text: &str) -> Result<Answer> {
        answer(&Remote::new("http://127.0.0.1:9", "ElevenLabs", "[tts]").expect("a URL"), text)
    }

    #[test]
    fn a_style_departs_from_the_settings_within_their_ranges() {
        let options = ElevenLabsOptions::default();
        let styled = |style, speed| {
            let request = SpeechRequest { style, speed, ..SpeechRequest::new(Requester::local(), "Hello.") };
            voice_settings(&options, &request)
        };
        let plain = json!({ "stability": 0.5, "similarity_boost": 0.75, "style": 0.0, "speed": 1.0 });
        assert_eq!(styled(Style::Plain, 1.0), plain);
        assert_eq!(styled(Style::Calm, 1.0)["stability"], 0.7);
        assert_eq!(styled(Style::Cheerful, 4.0)["speed"], 1.2);
        assert_eq!(styled(Style::Gentle, 0.25)["speed"], 0.7);
        let v3 = ElevenLabsOptions { model: "eleven_v3".to_owned(), ..ElevenLabsOptions::default() };
        let calm = SpeechRequest { style: Style::Calm, ..SpeechRequest::new(Requester::local(), "Hello.") };
        assert_eq!(voice_settings(&v3, &calm)["stability"], 0.5);
    }

    #[test]
    fn errors_have_their_kinds() {
        for (error, kind) in [
            ("invalid_api_key", ErrorKind::Unauthorized),
            ("quota_exceeded", ErrorKind::Unauthorized),
            ("voice_id_does_not_exist", ErrorKind::NotFound),
            ("too_many_concurrent_requests", ErrorKind::RateLimited),
            ("invalid_input_message", ErrorKind::Invalid),
            ("internal_server_error", ErrorKind::Unavailable),
        ] {
            let text = json!({ "message": "It is so.", "error": error, "code": 1008 }).to_string();
            let refused = read(&text).expect_err("an error");
            assert_eq!(refused.kind(), kind, "{error}");
            assert!(refused.to_string().contains("It is so."), "{refused}");
        }
        assert_eq!(read("{").expect_err("cut").kind(), ErrorKind::Protocol);
        assert_eq!(
            read("{\"message\":\"Internal error\"}").expect_err("failed").kind(),
            ErrorKind::Unavailable
        );
    }

    proptest! {
        #[test]
        fn any_message_is_taken(text in "\\PC{0,60}", json in "[{}\\[\\]\":,a-zA-Z0-9]{0,60}") {
            let _ = (read(&text), read(&json), read(&format!("{{\"audio\":\"{text}\"}}")));
        }
    }
}
