//! The messages of `ElevenLabs`.

use antiphon_core::{SpeechRequest, Style};
use serde_json::{Value, json};

use super::ElevenLabsOptions;
use crate::remote::speech::setting;

/// The lowest and the highest speed.
pub(super) const SPEEDS: (f64, f64) = (0.7, 1.2);
/// The lowest and the highest value of the other settings.
const SHARES: (f64, f64) = (0.0, 1.0);

/// Whether a model is of the third generation, which has only three levels of stability.
fn is_v3(model: &str) -> bool {
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
    let settings = &options.settings;
    let mut stability = setting(settings.stability + stability, SHARES);
    if is_v3(&options.model) {
        // The three levels are 0 (creative), 0.5 (natural) and 1 (robust).
        stability = (stability * 2.0).round() / 2.0;
    }
    let mut voice = json!({
        "stability": stability,
        "similarity_boost": setting(settings.similarity_boost, SHARES),
        "style": setting(settings.style + style, SHARES),
        "speed": setting(request.speed * settings.speed * request.style.pace(), SPEEDS),
    });
    if let Some(boost) = settings.use_speaker_boost {
        voice["use_speaker_boost"] = json!(boost);
    }
    voice
}

/// The body of an HTTP request.
pub(super) fn body(options: &ElevenLabsOptions, text: &str, request: &SpeechRequest) -> Value {
    let mut body = json!({
        "text": text,
        "model_id": options.model,
        "voice_settings": voice_settings(options, request),
    });
    if let Some(language) = &options.settings.language {
        body["language_code"] = json!(language);
    }
    body
}

#[cfg(test)]
mod tests {
    use antiphon_core::Requester;

    use super::*;

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
}
