//! The configuration of a session: `session.update` and `session.updated`.

use std::time::Duration;

use antiphon_core::session::{ListeningConfig, ModelConfig, Sayings, SessionConfig, VoiceConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::invalid::{Invalid, deserialize};
use super::media::Format;
use super::session_update::{Echoed, SessionUpdate};
use super::tool::{self, FunctionChoice, FunctionTool};
use super::turn_detection::{TurnDetection, server_vad};

/// The objects that an update merges field by field. It replaces all others as a whole.
const MERGED: [&str; 4] = ["", "audio", "audio.input", "audio.output"];
/// The fields that may be `null`. For all others `null` restores the default.
const NULLABLE: [&str; 3] =
    ["audio.input.transcription", "audio.input.noise_reduction", "audio.input.turn_detection"];

/// The settings in effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    #[serde(default)]
    model: String,
    #[serde(default)]
    pub(super) instructions: String,
    #[serde(default)]
    pub(super) output_modalities: Modalities,
    #[serde(default)]
    pub(super) audio: SessionAudio,
    #[serde(default)]
    pub(super) tools: Vec<FunctionTool>,
    #[serde(default)]
    pub(super) tool_choice: FunctionChoice,
    #[serde(default)]
    pub(super) max_output_tokens: MaxTokens,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    /// What this server does not use.
    #[serde(default)]
    echoed: Echoed,
}

/// The two kinds of session that the protocol knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A conversation with the agent.
    Realtime,
    /// Only the transcript of what is said, without replies.
    Transcription,
}

/// The form of replies: `["audio"]`, which includes a transcript, or `["text"]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Modality>", into = "Vec<Modality>")]
pub(super) enum Modalities {
    #[default]
    Audio,
    Text,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Modality {
    Audio,
    Text,
}

impl TryFrom<Vec<Modality>> for Modalities {
    type Error = &'static str;

    fn try_from(modalities: Vec<Modality>) -> Result<Self, Self::Error> {
        match modalities.as_slice() {
            [Modality::Audio] => Ok(Self::Audio),
            [Modality::Text] => Ok(Self::Text),
            _ => Err("give [\"audio\"], which comes with a transcript, or [\"text\"]"),
        }
    }
}

impl From<Modalities> for Vec<Modality> {
    fn from(modalities: Modalities) -> Self {
        vec![match modalities {
            Modalities::Audio => Modality::Audio,
            Modalities::Text => Modality::Text,
        }]
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SessionAudio {
    #[serde(default)]
    pub(super) input: AudioInput,
    #[serde(default)]
    pub(super) output: AudioOutput,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AudioInput {
    #[serde(default)]
    pub(super) format: Format,
    pub(super) transcription: Option<Transcription>,
    noise_reduction: Option<NoiseReduction>,
    #[serde(default = "server_vad", deserialize_with = "Option::deserialize")]
    pub(super) turn_detection: Option<TurnDetection>,
}

impl Default for AudioInput {
    fn default() -> Self {
        Self {
            format: Format::default(),
            transcription: None,
            noise_reduction: None,
            turn_detection: server_vad(),
        }
    }
}

/// Whether and how the client receives the transcript of the person's speech.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Transcription {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct NoiseReduction {
    #[serde(rename = "type")]
    kind: NoiseReductionKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NoiseReductionKind {
    NearField,
    FarField,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AudioOutput {
    #[serde(default)]
    pub(super) format: Format,
    #[serde(default)]
    pub(super) voice: Voice,
    #[serde(default = "normal_speed")]
    speed: f32,
}

impl Default for AudioOutput {
    fn default() -> Self {
        Self { format: Format::default(), voice: Voice::default(), speed: normal_speed() }
    }
}

fn normal_speed() -> f32 {
    1.0
}

/// A voice, given by its name or as `{"id": ...}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "NameOrId", into = "String")]
pub(super) struct Voice(pub(super) String);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a voice is a string or {\"id\": string}")]
enum NameOrId {
    Name(String),
    Id { id: String },
}

impl From<NameOrId> for Voice {
    fn from(voice: NameOrId) -> Self {
        match voice {
            NameOrId::Name(name) | NameOrId::Id { id: name } => Self(name),
        }
    }
}

impl From<Voice> for String {
    fn from(voice: Voice) -> Self {
        voice.0
    }
}

impl Default for Voice {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

/// Longest reply: a number of tokens, or `"inf"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TokensOrInf", into = "Value")]
pub(super) enum MaxTokens {
    #[default]
    Unlimited,
    Limited(u32),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a number of tokens or \"inf\"")]
enum TokensOrInf {
    Tokens(u32),
    Text(String),
}

impl TryFrom<TokensOrInf> for MaxTokens {
    type Error = &'static str;

    fn try_from(tokens: TokensOrInf) -> Result<Self, Self::Error> {
        match tokens {
            TokensOrInf::Tokens(0) => Err("a reply needs at least one token"),
            TokensOrInf::Tokens(tokens) => Ok(Self::Limited(tokens)),
            TokensOrInf::Text(text) if text == "inf" => Ok(Self::Unlimited),
            TokensOrInf::Text(_) => Err("give a number of tokens or \"inf\""),
        }
    }
}

impl From<MaxTokens> for Value {
    fn from(tokens: MaxTokens) -> Self {
        match tokens {
            MaxTokens::Unlimited => Self::from("inf"),
            MaxTokens::Limited(tokens) => Self::from(tokens),
        }
    }
}

impl MaxTokens {
    pub(super) fn limit(self) -> Option<u32> {
        match self {
            Self::Unlimited => None,
            Self::Limited(tokens) => Some(tokens),
        }
    }
}

impl Session {
    /// The session before its client has changed anything.
    pub(crate) fn new(kind: Kind, model: String, base: &SessionConfig) -> Self {
        let mut audio = SessionAudio::default();
        if kind == Kind::Transcription {
            audio.input.transcription = Some(Transcription::default());
        }
        audio.output.speed = base.voice.speed;
        if let Some(voice) = &base.voice.name {
            audio.output.voice = Voice(voice.clone());
        }
        Self {
            kind,
            model,
            instructions: base.instructions.clone(),
            output_modalities: Modalities::Audio,
            audio,
            tools: Vec::new(),
            tool_choice: FunctionChoice::default(),
            max_output_tokens: MaxTokens::Unlimited,
            parallel_tool_calls: None,
            echoed: Echoed::default(),
        }
    }

    /// This session with the changes of `update`: absent fields stay as they are, and `null` clears a field.
    pub(crate) fn updated(&self, update: SessionUpdate) -> Result<Self, Invalid> {
        let mut merged = serde_json::to_value(self).unwrap_or_default();
        merge(&mut merged, update.fields, &mut Vec::new());
        if merged["type"].is_null() {
            merged["type"] = Value::from("realtime");
        }
        let mut updated: Self = deserialize(merged, "session")?;
        updated.echoed.set(update.echoed)?;
        updated.check()?;
        Ok(updated)
    }

    fn check(&self) -> Result<(), Invalid> {
        let invalid = |param: &str, message: String| Err(Invalid::param(format!("session.{param}"), message));
        tool::check(&self.tools, "session.tools")?;
        let speed = self.audio.output.speed;
        if !(0.25..=1.5).contains(&speed) {
            return invalid("audio.output.speed", format!("{speed} is not between 0.25 and 1.5"));
        }
        if let Some(turns) = &self.audio.input.turn_detection {
            turns.check()?;
        }
        Ok(())
    }

    /// The language that the client wants to be understood in, if it names one.
    pub(super) fn language(&self) -> Option<&str> {
        let transcription = self.audio.input.transcription.as_ref()?;
        transcription.language.as_deref().filter(|language| !language.is_empty())
    }

    /// How much audio from before the beginning of speech is kept.
    pub(super) fn padding(&self) -> Duration {
        self.audio.input.turn_detection.as_ref().map_or(Duration::ZERO, TurnDetection::padding)
    }

    /// The session in JSON, as the client reads it.
    pub(crate) fn to_json(&self, id: &str) -> Value {
        let mut json = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = json.as_object_mut() {
            fields.remove("echoed");
            fields.extend(self.echoed.fields());
        }
        json["id"] = Value::from(id);
        json["object"] = Value::from("realtime.session");
        if self.kind == Kind::Transcription {
            json["object"] = Value::from("realtime.transcription_session");
            let input = json["audio"]["input"].take();
            json["audio"] = json!({ "input": input });
            if let Some(fields) = json.as_object_mut() {
                fields
                    .retain(|name, _| ["type", "id", "object", "audio", "include"].contains(&name.as_str()));
            }
        }
        json
    }

    /// How a call with this session behaves. `base` holds the settings that clients cannot change, `voices` the names
    /// of the voices, and `semantic` says whether there is a turn detector.
    pub(super) fn config(&self, base: &SessionConfig, voices: &[String], semantic: bool) -> SessionConfig {
        let input = &self.audio.input;
        let language = self.language().map(str::to_owned);
        let detection = input.turn_detection.as_ref();
        SessionConfig {
            instructions: self.instructions.clone(),
            model: ModelConfig {
                // Clients name models of OpenAI, which this server does not have. Its own model answers instead.
                name: base.model.name.clone(),
                tools: self.tools.iter().map(FunctionTool::to_tool).collect(),
                tool_choice: self.tool_choice.clone().into(),
                single_call: self.parallel_tool_calls == Some(false),
                temperature: base.model.temperature,
                max_tokens: self.max_output_tokens.limit().or(base.model.max_tokens),
                patience: base.model.patience,
            },
            voice: VoiceConfig {
                spoken: self.output_modalities == Modalities::Audio,
                name: known_voice(&self.audio.output.voice, voices).or_else(|| base.voice.name.clone()),
                speed: self.audio.output.speed,
                frame: base.voice.frame,
            },
            listening: ListeningConfig {
                language: language.or_else(|| base.listening.language.clone()),
                turns: detection.map(|turns| turns.config(base, semantic)),
                prefix_padding: detection.map_or(base.listening.prefix_padding, TurnDetection::padding),
                transcribe_only: self.kind == Kind::Transcription,
                cancel_echo: base.listening.cancel_echo,
            },
            // The client decides who speaks first, and what is said after silence or a failure.
            sayings: Sayings::default(),
        }
    }
}

/// The voice with this name. For unknown names, such as those of OpenAI's voices, `None`: the default voice.
pub(super) fn known_voice(voice: &Voice, voices: &[String]) -> Option<String> {
    voices.contains(&voice.0).then(|| voice.0.clone())
}

fn merge(into: &mut Value, update: Map<String, Value>, path: &mut Vec<String>) {
    for (name, value) in update {
        path.push(name.clone());
        let at = path.join(".");
        match value {
            Value::Object(fields) if MERGED.contains(&at.as_str()) => merge(&mut into[&name], fields, path),
            Value::Null if !NULLABLE.contains(&at.as_str()) => {
                if let Some(fields) = into.as_object_mut() {
                    fields.remove(&name);
                }
            }
            Value::Object(mut fields) => {
                // Some clients write null for a field that they mean to leave out.
                fields.retain(|_, value| !value.is_null());
                into[&name] = Value::Object(fields);
            }
            value => into[&name] = value,
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use antiphon_core::dialog::{BargeIn, EndOfTurn, TurnConfig};

    use super::*;

    fn base() -> SessionConfig {
        SessionConfig { instructions: "base".to_owned(), ..SessionConfig::default() }
    }

    fn session() -> Session {
        Session::new(Kind::Realtime, "m".to_owned(), &base())
    }

    #[expect(clippy::needless_pass_by_value, reason = "the calls read better")]
    fn update(session: &Session, update: Value) -> Result<Session, Invalid> {
        session.updated(serde_json::from_str(&update.to_string()).expect("an object"))
    }

    fn turns(session: &Session) -> Option<TurnConfig> {
        session.config(&base(), &[], true).listening.turns
    }

    #[test]
    fn absent_stays_and_null_clears() {
        let session = update(
            &session(),
            json!({ "instructions": "new", "audio": { "input": { "transcription": { "model": "x" } } } }),
        )
        .expect("valid");
        assert_eq!(session.instructions, "new");
        assert_eq!(turns(&session).expect("still on").end, EndOfTurn::Silence(Duration::from_millis(500)));
        let input = json!({ "transcription": null, "turn_detection": null, "format": null });
        let session = update(&session, json!({ "instructions": null, "audio": { "input": input } }));
        let session = session.expect("valid");
        assert_eq!(session.instructions, "");
        assert_eq!((session.audio.input.transcription.clone(), turns(&session)), (None, None));
    }

    #[test]
    fn turn_detection_is_replaced_whole() {
        let vad = json!({ "type": "server_vad", "silence_duration_ms": 200, "interrupt_response": false });
        let session = update(&session(), json!({ "audio": { "input": { "turn_detection": vad } } }));
        let session = session.expect("valid");
        let config = turns(&session).expect("on");
        assert_eq!(config.end, EndOfTurn::Silence(Duration::from_millis(200)));
        assert_eq!(config.barge_in, BargeIn::Off);
        let semantic = json!({ "type": "semantic_vad", "eagerness": "high", "create_response": false });
        let session = update(&session, json!({ "audio": { "input": { "turn_detection": semantic } } }));
        let config = turns(&session.expect("valid")).expect("on");
        assert!(matches!(config.end, EndOfTurn::Smart { max, .. } if max == Duration::from_secs(2)));
        assert!(!config.respond);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, param) in [
            (json!({ "output_modalities": ["text", "audio"] }), "session.output_modalities"),
            (json!({ "audio": { "output": { "speed": 9 } } }), "session.audio.output.speed"),
            (
                json!({ "audio": { "input": { "format": { "type": "audio/ogg" } } } }),
                "session.audio.input.format.type",
            ),
            (json!({ "tools": [{ "type": "mcp" }] }), "session.tools[0].type"),
            (json!({ "max_output_tokens": "many" }), "session.max_output_tokens"),
            (
                json!({ "audio": { "input": { "turn_detection": { "type": "server_vad", "threshold": 3 } } } }),
                "session.audio.input.turn_detection.threshold",
            ),
        ] {
            let invalid = update(&session(), json).expect_err(param);
            assert_eq!(invalid.param.as_deref(), Some(param), "{}", invalid.message);
        }
    }

    #[test]
    fn foreign_voices_mean_the_default() {
        let session = update(&session(), json!({ "audio": { "output": { "voice": { "id": "marin" } } } }));
        let session = session.expect("valid");
        assert_eq!(session.config(&base(), &["joe".to_owned()], true).voice.name, None);
        assert_eq!(session.to_json("s")["audio"]["output"]["voice"], "marin");
        let session = update(&session, json!({ "audio": { "output": { "voice": "joe" } } })).expect("valid");
        assert_eq!(session.config(&base(), &["joe".to_owned()], true).voice.name.as_deref(), Some("joe"));
    }
}
