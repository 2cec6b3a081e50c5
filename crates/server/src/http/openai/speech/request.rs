//! The request body of `/v1/audio/speech`.

use antiphon_agent::clauses;
use antiphon_audio::FileFormat;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::error::ApiError;

/// Longest input in characters; OpenAI's own limit.
const MAX_INPUT: usize = 4_096;
/// Range of the speed; OpenAI's own.
const SPEEDS: std::ops::RangeInclusive<f32> = 0.25..=4.0;

/// What to speak, and how. `model` may be any name, as there is only one engine.
#[derive(Deserialize, ToSchema)]
pub(in super::super) struct SpeechBody {
    /// The text, with up to 4,096 characters.
    input: String,
    /// A voice of the engine. Unknown names, such as those of OpenAI's voices, mean the default voice.
    voice: Option<VoiceName>,
    /// `mp3` (the default), `opus` (in Ogg), `flac`, `wav` or `pcm` (16-bit little-endian mono at 24 kHz, no header).
    response_format: Option<String>,
    /// Speed of speech, from 0.25 to 4; 1 is normal.
    speed: Option<f32>,
    /// `audio` (the default) or `sse`.
    stream_format: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "the name of a voice")]
enum VoiceName {
    Name(String),
    Custom { id: String },
}

/// The request to the engine.
pub(super) struct Say {
    pub(super) clauses: Vec<String>,
    pub(super) voice: Option<String>,
    pub(super) speed: f32,
    pub(super) format: FileFormat,
    pub(super) events: bool,
}

impl SpeechBody {
    pub(super) fn into_request(self) -> Result<Say, ApiError> {
        let characters = self.input.chars().count();
        if characters > MAX_INPUT {
            let message = format!("input has {characters} characters; send at most {MAX_INPUT} at a time");
            return Err(ApiError::invalid_param("input", message));
        }
        if self.input.trim().is_empty() {
            return Err(ApiError::invalid_param("input", "input is empty"));
        }
        let speed = self.speed.unwrap_or(1.0);
        if !SPEEDS.contains(&speed) {
            let message =
                format!("speed is {speed}; it must be between {} and {}", SPEEDS.start(), SPEEDS.end());
            return Err(ApiError::invalid_param("speed", message));
        }
        Ok(Say {
            clauses: clauses(&self.input),
            voice: self.voice.map(VoiceName::into_id),
            speed,
            format: format(self.response_format.as_deref())?,
            events: events(self.stream_format.as_deref())?,
        })
    }
}

impl VoiceName {
    fn into_id(self) -> String {
        match self {
            Self::Name(id) | Self::Custom { id } => id,
        }
    }
}

fn format(value: Option<&str>) -> Result<FileFormat, ApiError> {
    let name = value.unwrap_or(FileFormat::Mp3.name());
    FileFormat::from_name(name).ok_or_else(|| {
        let known = FileFormat::ALL.map(FileFormat::name).join(", ");
        let message = format!("response_format {name:?} is not supported; use one of {known}");
        ApiError::invalid_param("response_format", message)
    })
}

fn events(value: Option<&str>) -> Result<bool, ApiError> {
    match value {
        None | Some("audio") => Ok(false),
        Some("sse") => Ok(true),
        Some(other) => {
            let message = format!("stream_format {other:?} is not supported; use audio or sse");
            Err(ApiError::invalid_param("stream_format", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn say(body: Value) -> Result<Say, String> {
        let body: SpeechBody = serde_json::from_value(body).map_err(|error| error.to_string())?;
        body.into_request().map_err(|error| error.body()["error"]["message"].to_string())
    }

    #[test]
    fn a_bare_request_gives_mp3_at_normal_speed() {
        let say = say(json!({"input": "Hello.", "voice": "alloy", "model": "tts-1"})).unwrap();
        assert_eq!((say.format, say.speed, say.events), (FileFormat::Mp3, 1.0, false));
        assert_eq!(say.clauses, ["Hello."]);
    }

    #[test]
    fn every_format_of_openai_but_aac_is_taken() {
        for name in ["mp3", "opus", "flac", "wav", "pcm"] {
            let say = say(json!({"input": "Hello.", "response_format": name})).unwrap();
            assert_eq!(say.format.name(), name);
        }
    }

    #[test]
    fn a_voice_may_be_an_object() {
        assert_eq!(say(json!({"input": "x", "voice": {"id": "v"}})).unwrap().voice.as_deref(), Some("v"));
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        for (body, says) in [
            (json!({"input": " "}), "empty"),
            (json!({"input": "x".repeat(4_097)}), "4097 characters"),
            (json!({"input": "x", "speed": 5}), "speed is 5"),
            (json!({"input": "x", "response_format": "aac"}), "use one of mp3, opus, flac, wav, pcm"),
            (json!({"input": "x", "stream_format": "ws"}), "audio or sse"),
            (json!({"input": "x", "voice": 1}), "the name of a voice"),
        ] {
            let error = say(body.clone()).err().unwrap();
            assert!(error.contains(says), "{body}: {error}");
        }
        assert!(say(json!({"input": "é".repeat(4_096)})).is_ok());
    }
}
