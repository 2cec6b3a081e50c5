//! One call as a transport sees it: what comes in, what goes out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::Value;

use crate::chat::{Tool, ToolChoice};
use crate::event::Event;
use crate::id::{ItemId, ReplyId};
use crate::item::Item;
use crate::{DEFAULT_TENANT, Result, SampleRate, TurnId};

/// A connection that carries one call. Polled by the session's own task: no task, lock or channel of its own.
///
/// # Example
///
/// A line on which somebody types one sentence and hangs up, and which drops everything that is sent:
///
/// ```
/// use std::task::{Context, Poll, Waker};
///
/// use antiphon_core::call::{Inbound, Outbound, OutputAudio, Pacing};
/// use antiphon_core::{Result, SampleRate, Transport};
///
/// struct OneLine(Option<String>);
///
/// impl Transport for OneLine {
///     fn name(&self) -> &'static str {
///         "one-line"
///     }
///
///     fn output(&self) -> OutputAudio {
///         OutputAudio { rate: SampleRate::HZ_16000, pacing: Pacing::Client }
///     }
///
///     fn poll_recv(&mut self, _: &mut Context<'_>, _audio: &mut Vec<i16>) -> Poll<Option<Inbound>> {
///         Poll::Ready(self.0.take().map(Inbound::Text))
///     }
///
///     fn send(&mut self, _outbound: Outbound) {}
///
///     fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
///         Poll::Ready(Ok(()))
///     }
/// }
///
/// let mut line = OneLine(Some("What time is it?".to_owned()));
/// let mut cx = Context::from_waker(Waker::noop());
/// let typed = Inbound::Text("What time is it?".to_owned());
/// assert_eq!(line.poll_recv(&mut cx, &mut Vec::new()), Poll::Ready(Some(typed)));
/// assert_eq!(line.poll_recv(&mut cx, &mut Vec::new()), Poll::Ready(None));
/// ```
pub trait Transport: Send {
    /// The protocol's name, for logs and metrics.
    fn name(&self) -> &'static str;

    /// How audio goes out.
    fn output(&self) -> OutputAudio;

    /// The next thing that came in; `None` when the other side is gone. [`Inbound::Audio`] has appended 16 kHz
    /// mono samples to `audio`.
    fn poll_recv(&mut self, cx: &mut Context<'_>, audio: &mut Vec<i16>) -> Poll<Option<Inbound>>;

    /// Queues something to go out; the queue is bounded and [`Transport::poll_flush`] reports its overflow.
    fn send(&mut self, outbound: Outbound);

    /// Whether what was sent is on its way, so that more may be made. With [`Pacing::Client`] only this keeps
    /// replies from being made faster than the other side takes them.
    fn has_room(&self) -> bool {
        true
    }

    /// Writes what is queued. Ready when all is written; an error when the other side is gone or reads too
    /// slowly to keep the queue within its bound.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;
}

/// How a transport wants its audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputAudio {
    /// Samples a second.
    pub rate: SampleRate,
    /// Who keeps the time.
    pub pacing: Pacing,
}

/// Who keeps the time of playback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// The server sends at most this far ahead of real time, so it knows what was heard and can stop at once.
    Server {
        /// How far ahead.
        lead: Duration,
    },
    /// Audio is sent as soon as it is made; the client plays, stops and reports what was heard.
    Client,
}

/// What comes in.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbound {
    /// Audio was appended to the buffer given.
    Audio,
    /// The person typed.
    Text(String),
    /// The person pressed a key: 0-9, *, # or A-D.
    Dtmf(char),
    /// All audio sent of this reply was played, sooner or later than the clock says.
    Played(ReplyId),
    /// The client asks for something.
    Command(Command),
    /// The other side ends the call.
    Hangup,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Given back in [`Event::CommandFailed`].
    pub request_id: Option<String>,
    /// What is asked for.
    pub kind: CommandKind,
}

/// What a client may ask for.
#[derive(Clone, Debug, PartialEq)]
pub enum CommandKind {
    /// Changes the session from now on.
    Configure(Box<SessionConfig>),
    /// The audio received since the last commit is the person's turn.
    CommitInput,
    /// Forget the audio received since the last commit.
    ClearInput,
    /// Insert an item.
    AddItem {
        /// What to insert.
        item: Item,
        /// Where.
        place: Place,
        /// The item's speech, 16 kHz mono, whose words are still to be found.
        audio: Vec<i16>,
    },
    /// Remove an item.
    DeleteItem(ItemId),
    /// Ask for [`Event::ItemRetrieved`].
    RetrieveItem(ItemId),
    /// The person heard the item's audio only up to here.
    TruncateItem {
        /// A message of the agent.
        item: ItemId,
        /// From the start of its audio.
        audio_end: Duration,
    },
    /// Ask the agent to speak.
    Reply(Box<ReplyRequest>),
    /// Stop a reply: this one, or the one in the conversation.
    CancelReply(Option<ReplyId>),
}

/// Where an item is inserted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the end.
    Last,
    /// At the front.
    First,
    /// After this item.
    After(ItemId),
}

/// How the agent behaves in one call.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionConfig {
    /// What the agent is told about itself.
    pub instructions: String,
    /// Whether replies are spoken (with a transcript) or only written.
    pub spoken: bool,
    /// A voice of the speech engine.
    pub voice: Option<String>,
    /// Speed of speech; 1 is normal.
    pub speed: f32,
    /// The most audio of a reply in one [`Outbound::Audio`].
    pub audio_frame: Duration,
    /// A model of the language engine.
    pub model: Option<String>,
    /// What the agent may call; the client runs it.
    pub tools: Vec<Tool>,
    /// Whether it may, must or must not.
    pub tool_choice: ToolChoice,
    /// Randomness of replies.
    pub temperature: Option<f32>,
    /// The longest reply in tokens.
    pub max_tokens: Option<u32>,
    /// Language of the person's speech, ISO 639-1.
    pub language: Option<String>,
    /// When turns begin and end; `None`: only by [`CommandKind::CommitInput`].
    pub turns: Option<crate::dialog::TurnConfig>,
    /// Audio kept from before speech was noticed.
    pub prefix_padding: Duration,
    /// Only transcribe; never reply.
    pub transcribe_only: bool,
    /// Said first, if not empty.
    pub greeting: String,
    /// What is said after long silence.
    pub idle: IdleReply,
    /// Said before the call is ended for silence.
    pub goodbye: String,
    /// Said when an engine failed and nothing else can be said.
    pub apology: String,
    /// Who calls, if that is known: a name that means one person in every call. What they say is remembered.
    pub person: Option<String>,
    /// Whose agent this is: nothing of another tenant's is seen.
    pub tenant: Arc<str>,
    /// Whether replies may be used again, and which replies given before may answer.
    pub reuse: ReplyReuse,
}

/// Which replies given before may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyReuse {
    /// None.
    Never,
    /// Those to the same words.
    SameWords,
    /// Those to other words as well, where the server keeps replies by their meaning.
    OtherWords,
}

impl Default for SessionConfig {
    /// An agent that is told nothing about itself, says nothing first and nothing of its own accord.
    fn default() -> Self {
        Self {
            instructions: String::new(),
            spoken: true,
            voice: None,
            speed: 1.0,
            audio_frame: Duration::from_millis(100),
            model: None,
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            temperature: None,
            max_tokens: None,
            language: None,
            turns: Some(crate::dialog::TurnConfig::default()),
            prefix_padding: Duration::from_millis(300),
            transcribe_only: false,
            greeting: String::new(),
            idle: IdleReply::Generate,
            goodbye: String::new(),
            apology: String::new(),
            person: None,
            tenant: DEFAULT_TENANT.into(),
            reuse: ReplyReuse::OtherWords,
        }
    }
}

/// What is said after long silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdleReply {
    /// These sentences, one after the other.
    Say(Vec<String>),
    /// Whatever the model makes of it.
    Generate,
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
    pub temperature: Option<f32>,
    /// Instead of the session's.
    pub max_tokens: Option<u32>,
    /// Instead of the session's.
    pub reuse: Option<bool>,
    /// Given back with the reply.
    pub metadata: BTreeMap<String, Value>,
}

/// An item that a reply is to answer.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplyInput {
    /// This one, which is not in the conversation.
    Item(Item),
    /// The one of the conversation.
    Reference(ItemId),
}

/// What goes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Outbound {
    /// Audio at [`OutputAudio::rate`] of this item of this reply.
    Audio {
        /// The turn it answers; stale turns are dropped.
        turn: TurnId,
        /// The reply.
        reply: ReplyId,
        /// The message.
        item: ItemId,
        /// Mono samples.
        samples: Vec<i16>,
    },
    /// Drop all audio sent but not yet played.
    Clear,
    /// Something happened.
    Event(Event),
    /// End the call, after what was sent.
    Hangup,
}
