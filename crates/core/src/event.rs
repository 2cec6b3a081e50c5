//! What happens in a call, for clients, logs and metrics alike.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::chat::Usage;
use crate::dialog::Phase;
use crate::emotion::Emotion;
use crate::error::Error;
use crate::id::{ItemId, ReplyId};
use crate::item::{ConversationItem, ItemStatus};
use crate::llm::CacheHit;
use crate::session::SessionConfig;
use crate::{MediaTime, TurnId};

/// Something that happened in a call. Clients, logs and metrics all see the same events.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The dialog has come to another phase, such as from listening to thinking.
    Phase(Phase),
    /// The session is configured like this now: the first event of a call,
    /// and the answer to every [`crate::call::CommandKind::Configure`].
    Configured(Box<SessionConfig>),
    /// A command could not be carried out; the call goes on.
    CommandFailed {
        /// The command's [`crate::call::Command::request_id`]; `None` if the client gave none.
        request_id: Option<String>,
        /// For machines, such as `item_not_found`.
        code: &'static str,
        /// What was wrong, in words for people.
        message: String,
    },
    /// An engine failed; the call goes on.
    Failed(Error),

    /// The person began to speak; `item` will be their message.
    SpeechStarted {
        /// The id that the message will have once the turn is over; [`Event::SpeechDropped`] says when it will not
        /// come.
        item: ItemId,
        /// On the time line of the audio received.
        at: MediaTime,
    },
    /// The person's speech ended.
    SpeechStopped {
        /// The id that the message will have, as in [`Event::SpeechStarted`].
        item: ItemId,
        /// On the time line of the audio received.
        at: MediaTime,
    },
    /// It was no speech, or only a back-channel: the message will not come.
    SpeechDropped {
        /// The message that will not come.
        item: ItemId,
        /// On the time line of the audio received.
        at: MediaTime,
    },
    /// The person was silent for long.
    IdleTimeout {
        /// The message that stands for the silence.
        item: ItemId,
        /// Where the silence began.
        from: MediaTime,
        /// Until when: the present.
        to: MediaTime,
    },
    /// The person's turn is over; the message itself follows.
    InputCommitted {
        /// The id of the person's message.
        item: ItemId,
        /// The item before it in the conversation; `None` for the first.
        previous: Option<ItemId>,
    },
    /// The audio was forgotten.
    InputCleared,
    /// What has been understood of the person's message so far; replaces what was said before.
    UserText {
        /// The id of the person's message.
        item: ItemId,
        /// The words of the whole message, not only what is new.
        text: String,
        /// Nothing will change any more.
        done: bool,
        /// How much audio it covers.
        audio: Duration,
    },
    /// The message could not be understood.
    UserTextFailed {
        /// The id of the person's message.
        item: ItemId,
        /// Why it could not be understood.
        error: Error,
    },

    /// An item came into the conversation; one with [`ItemStatus::InProgress`] is followed by `ItemDone`.
    ItemAdded {
        /// The item as it is now, perhaps without content yet.
        item: ConversationItem,
        /// The item before it in the conversation; `None` for the first.
        previous: Option<ItemId>,
    },
    /// The item will not change any more.
    ItemDone {
        /// The item as it stays from now on; its status says whether it is whole.
        item: ConversationItem,
        /// The item before it in the conversation; `None` for the first.
        previous: Option<ItemId>,
    },
    /// The item is gone.
    ItemDeleted(ItemId),
    /// The item, as asked for.
    ItemRetrieved(ConversationItem),
    /// The item ends here now.
    ItemTruncated {
        /// The id of the message that was cut.
        item: ItemId,
        /// From the start of its audio.
        audio_end: Duration,
    },

    /// The agent begins a reply.
    ReplyStarted {
        /// The reply's id, which all its events carry.
        reply: ReplyId,
        /// The turn it answers.
        turn: TurnId,
        /// Whether it is spoken.
        spoken: bool,
        /// Whether it is outside the conversation.
        out_of_band: bool,
        /// As given in the request.
        metadata: BTreeMap<String, Value>,
    },
    /// The reply's message or tool call begins. Inside the conversation, `ItemAdded` follows.
    OutputStarted {
        /// The reply whose message or tool call begins.
        reply: ReplyId,
        /// Its place among the reply's items, from 0.
        index: usize,
        /// The item, without content yet.
        item: ConversationItem,
    },
    /// More text of a message; with audio if the reply is spoken.
    OutputText {
        /// The reply to which the text belongs.
        reply: ReplyId,
        /// The id of the message to which the text is added.
        item: ItemId,
        /// Its place among the reply's items.
        index: usize,
        /// The text to append to what came before.
        delta: String,
    },
    /// More of a tool call's arguments.
    OutputArguments {
        /// The reply that calls the tool.
        reply: ReplyId,
        /// The tool call's item.
        item: ItemId,
        /// Its place among the reply's items.
        index: usize,
        /// The call's id as the model gave it, the same as [`crate::ToolCall::id`].
        call_id: String,
        /// The piece of JSON to append to what came before.
        delta: String,
    },
    /// The message or tool call is whole, or cut short; its audio has all been sent.
    OutputDone {
        /// The reply to which the item belongs.
        reply: ReplyId,
        /// Its place among the reply's items.
        index: usize,
        /// The item with all its content.
        item: ConversationItem,
    },
    /// The reply is over.
    ReplyDone {
        /// The id that [`Event::ReplyStarted`] gave.
        reply: ReplyId,
        /// The turn it answered.
        turn: TurnId,
        /// Whether all of it was said, and if not, why.
        status: ReplyStatus,
        /// The tokens that the language model read and wrote for it.
        usage: Usage,
        /// The messages and tool calls of the reply, in order.
        output: Vec<ConversationItem>,
        /// Whether its words were kept from an earlier one.
        from_cache: Option<CacheHit>,
    },
    /// The person cut the reply off.
    Interrupted {
        /// The reply that was cut off.
        reply: ReplyId,
        /// The message that was being spoken.
        item: ItemId,
        /// How much of its audio was heard.
        heard: Duration,
        /// The words of it that were heard.
        text: String,
        /// From the onset of the person's speech until the audio was stopped; `None` when it was not speech
        /// that cut the reply off.
        latency: Option<Duration>,
    },
    /// How long the turn took; once for each reply to a turn, when its first audio (or text) went out.
    Latency {
        /// The turn that was answered.
        turn: TurnId,
        /// How long each stage took, and all of them together.
        latency: TurnLatency,
        /// What took place when.
        steps: Vec<Step>,
        /// Whether its words came from a cache, and how.
        from_cache: Option<CacheHit>,
    },
    /// The server has run a tool that a reply called.
    ToolRan {
        /// The reply that called the tool.
        reply: ReplyId,
        /// The tool's name, as the model called it.
        tool: String,
        /// How long it took.
        took: Duration,
        /// Why it failed, if it did: the model is told.
        error: Option<Error>,
    },
    /// What was looked up for a reply; once for each reply to a turn, when it goes out.
    TurnContext {
        /// The turn for which it was looked up.
        turn: TurnId,
        /// How the person seems to feel, and how sure that is, 0 to 1.
        emotion: Option<(Emotion, f32)>,
        /// How each step of the turn's plan went.
        steps: Vec<StepReport>,
    },
}

/// How a reply ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplyStatus {
    /// All of it was said.
    Completed,
    /// The person spoke, and it was an interruption.
    Interrupted,
    /// A client cancelled it.
    Cancelled,
    /// The token limit cut it.
    TooLong,
    /// The provider withheld the rest.
    Filtered,
    /// An engine failed, and no other went on in its place.
    Failed(Error),
}

impl ReplyStatus {
    /// What becomes of the reply's unfinished item.
    pub fn item_status(&self) -> ItemStatus {
        if *self == Self::Completed { ItemStatus::Completed } else { ItemStatus::Incomplete }
    }
}

/// How long the stages of a turn took. Stages overlap: they need not add up to the total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TurnLatency {
    /// From the last speech sample to the decision that the turn is over.
    #[serde(serialize_with = "millis")]
    pub end_of_turn: Duration,
    /// From the question to the answer of speech recognition.
    #[serde(serialize_with = "millis")]
    pub stt: Duration,
    /// From the request to the first token of the language model.
    #[serde(serialize_with = "millis")]
    pub llm_ttft: Duration,
    /// From the first clause to its first audio.
    #[serde(serialize_with = "millis")]
    pub tts_ttfb: Duration,
    /// From the last speech sample to the first reply sample.
    #[serde(serialize_with = "millis")]
    pub total: Duration,
    /// What of the total neither an engine nor the configured silence took.
    #[serde(serialize_with = "millis")]
    pub overhead: Duration,
}

/// How a step of a turn's plan went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// The step's name: `emotion`, `memory`, `profile` or `knowledge`.
    pub name: &'static str,
    /// Whether it found what it was to find, and if not, why.
    pub outcome: StepOutcome,
    /// From its beginning to its end.
    #[serde(rename = "took_ms", serialize_with = "millis")]
    pub took: Duration,
}

/// How a step of a turn's plan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// With what it was to find.
    Done,
    /// The turn did not need it.
    Skipped,
    /// It was dropped at its deadline.
    Late,
    /// It ended with an error; the reply is made without what it was to find.
    Failed,
}

impl StepOutcome {
    /// The label in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Late => "late",
            Self::Failed => "failed",
        }
    }
}

/// A step on the way to a reply. Steps overlap: the reply is made while the silence lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The step's name: `end_of_turn`, `stt`, `plan`, `llm` or `tts`.
    pub name: &'static str,
    /// In microseconds from the last speech sample; negative before it.
    #[serde(rename = "start_ms", serialize_with = "micros_as_millis")]
    pub start_us: i64,
    /// In microseconds from the last speech sample, like `start_us`.
    #[serde(rename = "end_ms", serialize_with = "micros_as_millis")]
    pub end_us: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn micros_as_millis<S: serde::Serializer>(micros: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*micros as f64 / 1_000.0)
}

fn millis<S: serde::Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((span.as_secs_f64() * 10_000.0).round() / 10.0)
}
