//! How the agent behaves in a call, as far as that may change in the middle of it, and what a reply may be asked to be.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::chat::{Tool, ToolChoice};
use crate::dialog::TurnConfig;
use crate::id::ItemId;
use crate::item::ConversationItem;

/// How the agent behaves from now on. A client may replace all of it at any time; who calls and whose agent answers is
/// fixed when the call begins and stands in [`Identity`](crate::Identity).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionConfig {
    /// What the agent is told about itself.
    pub instructions: String,
    /// How the language model is asked.
    pub model: ModelConfig,
    /// Whether replies are spoken, and with which voice.
    pub voice: VoiceConfig,
    /// How the person is listened to.
    pub listening: ListeningConfig,
    /// What the agent says of its own accord.
    pub sayings: Sayings,
}

/// How the language model is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// A model of the language engine; `None` gives the engine's default.
    pub name: Option<String>,
    /// What the agent may call and the client runs.
    pub tools: Vec<Tool>,
    /// Whether it may, must or must not.
    pub tool_choice: ToolChoice,
    /// Whether a reply calls one tool at most: the opposite of OpenAI's `parallel_tool_calls`.
    pub single_call: bool,
    /// Randomness of replies; `None` gives the engine's default.
    pub temperature: Option<f32>,
    /// The longest reply in tokens; `None` gives the engine's default.
    pub max_tokens: Option<u32>,
    /// How long it may be silent before the reply fails, where the agent has nothing to say meanwhile
    /// ([`Sayings::waiting`]).
    pub patience: Duration,
}

/// Whether replies are spoken, and how the voice sounds.
#[derive(Clone, Debug, PartialEq)]
pub struct VoiceConfig {
    /// Whether replies are spoken (with a transcript) or only written.
    pub spoken: bool,
    /// A voice of the speech engine; `None` gives the engine's default.
    pub name: Option<String>,
    /// Speed of speech; 1 is normal.
    pub speed: f32,
    /// The most audio of a reply in one [`Outbound::Audio`](crate::call::Outbound::Audio).
    pub frame: Duration,
}

/// How the person is listened to.
#[derive(Clone, Debug, PartialEq)]
pub struct ListeningConfig {
    /// Language of the person's speech, ISO 639-1.
    pub language: Option<String>,
    /// When turns begin and end; `None`: only by [`CommandKind::CommitInput`](crate::call::CommandKind::CommitInput).
    pub turns: Option<TurnConfig>,
    /// Audio kept from before speech was noticed.
    pub prefix_padding: Duration,
    /// Only transcribe; never reply.
    pub transcribe_only: bool,
    /// Whether the agent's own voice is taken out of what is heard.
    pub cancel_echo: bool,
}

/// What the agent says without being asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Sayings {
    /// Said first, if not empty.
    pub greeting: String,
    /// What is said after long silence.
    pub idle: IdleReply,
    /// Said before the call is ended for silence, or because the server stops.
    pub goodbye: String,
    /// Said while the model lets the person wait, one after the other.
    pub waiting: Vec<String>,
    /// Said when an engine failed and nothing else can be said.
    pub apology: String,
}

/// What is said after long silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdleReply {
    /// These sentences, one after the other.
    Say(Vec<String>),
    /// Whatever the model makes of it.
    Generate,
}

impl Default for ModelConfig {
    /// After two seconds of silence callers ask whether anybody is still there.
    fn default() -> Self {
        Self {
            name: None,
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            single_call: false,
            temperature: None,
            max_tokens: None,
            patience: Duration::from_secs(2),
        }
    }
}

impl Default for VoiceConfig {
    fn default() -> Self {
        Self { spoken: true, name: None, speed: 1.0, frame: Duration::from_millis(100) }
    }
}

impl Default for ListeningConfig {
    fn default() -> Self {
        Self {
            language: None,
            turns: Some(TurnConfig::default()),
            prefix_padding: Duration::from_millis(300),
            transcribe_only: false,
            cancel_echo: false,
        }
    }
}

impl Default for Sayings {
    /// The agent says nothing first and nothing of its own accord.
    fn default() -> Self {
        Self {
            greeting: String::new(),
            idle: IdleReply::Generate,
            goodbye: String::new(),
            waiting: Vec::new(),
            apology: String::new(),
        }
    }
}

/// Which replies given before may answer, and whether new ones are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyReuse {
    /// None, and none is kept.
    Never,
    /// Those to the same words.
    SameWords,
    /// Those to other words as well, where the server keeps replies by their meaning.
    #[default]
    OtherWords,
}

/// A reply that was asked for, with what differs from the session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplyRequest {
    /// Not part of the conversation: neither stored nor limiting other replies.
    pub out_of_band: bool,
    /// What to answer instead of the conversation.
    pub input: Option<Vec<ReplyInput>>,
    /// Instead of the session's.
    pub instructions: Option<String>,
    /// Instead of the session's.
    pub spoken: Option<bool>,
    /// Instead of the session's.
    pub voice: Option<String>,
    /// Instead of the session's.
    pub tools: Option<Vec<Tool>>,
    /// Instead of the session's.
    pub tool_choice: Option<ToolChoice>,
    /// Instead of the session's.
    pub single_call: Option<bool>,
    /// Instead of the session's.
    pub temperature: Option<f32>,
    /// Instead of the session's.
    pub max_tokens: Option<u32>,
    /// Whether earlier replies may answer, instead of what the agent's [`ReplyReuse`] says.
    pub reuse: Option<bool>,
    /// Given back with the reply.
    pub metadata: BTreeMap<String, Value>,
}

/// An item that a reply is to answer.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplyInput {
    /// An item that is not in the conversation.
    Item(ConversationItem),
    /// An item of the conversation.
    Reference(ItemId),
}
