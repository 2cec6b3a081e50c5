//! The form fields of a transcription request.

use utoipa::ToSchema;

use super::super::upload::Upload;
use crate::http::error::ApiError;

/// The format of the transcription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    VerboseJson,
    Text,
    Srt,
    Vtt,
}

/// The settings of a transcription.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) language: Option<String>,
    pub(super) prompt: Option<String>,
    pub(super) format: Format,
    pub(super) streamed: bool,
    /// Whether words get timestamps.
    pub(super) words: bool,
    /// Whether segments are listed.
    pub(super) segments: bool,
}

/// The form that clients send, with its fields in any order. Other fields are ignored.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described to clients, never built: a form is read part by part")]
pub(in super::super) struct TranscriptionForm {
    /// Audio: wav, flac, mp3, ogg (Opus or Vorbis), m4a or webm.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// Any name, as there is only one engine.
    model: Option<String>,
    /// The language as ISO 639-1. One that the engine does not know is refused.
    language: Option<String>,
    /// Words that are likely to occur.
    prompt: Option<String>,
    /// `json`, `text`, `srt`, `verbose_json` or `vtt`.
    response_format: Option<String>,
    /// With `verbose_json`: `segment`, `word` or both.
    #[schema(rename = "timestamp_granularities[]")]
    timestamp_granularities: Option<Vec<String>>,
    /// Whether text comes as events while the file is transcribed.
    stream: Option<bool>,
}

impl Options {
    /// Reads the form; `only_language` is that of an engine that knows no other.
    pub(super) fn parse(upload: &Upload, only_language: Option<&'static str>) -> Result<Self, ApiError> {
        let streamed = flag("stream", upload.field("stream"))?;
        let format = format(upload.field("response_format"))?;
        if streamed && !matches!(format, Format::Json | Format::Text) {
            let message = "a stream gives events whatever the format; leave out response_format or stream";
            return Err(ApiError::invalid_param("response_format", message));
        }
        let (words, segments) = granularities(upload.list("timestamp_granularities"))?;
        let language = match upload.field("language").filter(|language| !language.is_empty()) {
            Some(asked) => Some(language(asked, only_language)?),
            None => only_language.map(str::to_owned),
        };
        if upload.list("include").any(|what| what == "logprobs") {
            let message = "log probabilities are not available; leave out include";
            return Err(ApiError::invalid_param("include", message));
        }
        let prompt = upload.field("prompt").map(str::to_owned);
        Ok(Self { language, prompt, format, streamed, words, segments })
    }
}

fn flag(param: &'static str, value: Option<&str>) -> Result<bool, ApiError> {
    match value.map(str::to_ascii_lowercase).as_deref() {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(other) => {
            Err(ApiError::invalid_param(param, format!("{param} is {other:?}; write true or false")))
        }
    }
}

fn format(value: Option<&str>) -> Result<Format, ApiError> {
    match value {
        None | Some("json") => Ok(Format::Json),
        Some("verbose_json") => Ok(Format::VerboseJson),
        Some("text") => Ok(Format::Text),
        Some("srt") => Ok(Format::Srt),
        Some("vtt") => Ok(Format::Vtt),
        Some(other) => {
            let message = format!(
                "response_format {other:?} is not supported; use json, text, srt, verbose_json or vtt"
            );
            Err(ApiError::invalid_param("response_format", message))
        }
    }
}

/// Whether to include words, and whether to include segments. Without any value, segments are included, as by OpenAI.
fn granularities<'a>(values: impl Iterator<Item = &'a str>) -> Result<(bool, bool), ApiError> {
    let (mut words, mut segments, mut any) = (false, false, false);
    for value in values {
        any = true;
        match value {
            "word" => words = true,
            "segment" => segments = true,
            other => {
                let message = format!("timestamp_granularities holds {other:?}; use word, segment or both");
                return Err(ApiError::invalid_param("timestamp_granularities", message));
            }
        }
    }
    Ok((words, segments || !any))
}

fn language(value: &str, only: Option<&str>) -> Result<String, ApiError> {
    if (2..=3).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        let value = value.to_ascii_lowercase();
        return match only {
            Some(only) if value != only => {
                let message = format!(
                    "language is {value:?}, but the engine knows only {only:?}; leave language out or configure another engine"
                );
                Err(ApiError::invalid_param("language", message))
            }
            _ => Ok(value),
        };
    }
    let message = format!("language is {value:?}; use an ISO 639-1 code such as en");
    Err(ApiError::invalid_param("language", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_listed_unless_only_words_are_asked_for() {
        let granularities = |values: &[&'static str]| granularities(values.iter().copied()).ok();
        assert_eq!(granularities(&[]), Some((false, true)));
        assert_eq!(granularities(&["word"]), Some((true, false)));
        assert_eq!(granularities(&["word", "segment"]), Some((true, true)));
        assert_eq!(granularities(&["letter"]), None);
    }

    #[test]
    fn flags_and_languages_are_checked() {
        assert_eq!(flag("stream", Some("True")).ok(), Some(true));
        assert!(flag("stream", Some("yes please")).is_err());
        assert_eq!(language("EN", None).ok().as_deref(), Some("en"));
        assert_eq!(language("en", Some("en")).ok().as_deref(), Some("en"));
        assert!(language("English", None).is_err() && language("de", Some("en")).is_err());
    }
}
