//! One call as a transport sees it: what comes in, what goes out.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::control::CallControl;
use crate::event::Event;
use crate::id::{ItemId, ReplyId};
use crate::item::ConversationItem;
use crate::session::{ReplyRequest, SessionConfig};
use crate::{Result, SampleRate, TurnId};

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

    /// The next thing that came in; `None` when the other side has ended the call. A connection that was lost is an error of
    /// [`Transport::poll_flush`] instead. [`Inbound::Audio`] has appended 16 kHz mono samples to `audio`, or
    /// none where only [`Transport::is_ahead`] has changed.
    fn poll_recv(&mut self, cx: &mut Context<'_>, audio: &mut Vec<i16>) -> Poll<Option<Inbound>>;

    /// Whether the client plays a recording: it has sent more audio than can have been spoken, and has to wait. Nobody waits for the
    /// answer as in a conversation, so that it gives way to calls.
    fn is_ahead(&self) -> bool {
        false
    }

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

    /// Whether the other side can do this; the session tells the model when it cannot.
    fn can(&self, control: &CallControl) -> bool {
        matches!(control, CallControl::HangUp(_))
    }
}

/// How a transport wants its audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputAudio {
    /// The sample rate at which the transport takes the agent's audio.
    pub rate: SampleRate,
    /// Who keeps the time.
    pub pacing: Pacing,
}

/// Who keeps the time of playback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// The server sends at most this far ahead of real time, so it knows what was heard and can stop at once.
    Server {
        /// The longest time by which audio is sent before it is heard.
        lead: Duration,
    },
    /// Audio is sent as soon as it is made; the client plays, stops and reports what was heard.
    Client,
}

/// What comes in over a transport.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbound {
    /// Audio was appended to the buffer given.
    Audio,
    /// The person wrote this text instead of speaking.
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
    /// Insert an item into the conversation.
    AddItem {
        /// The item; its id must not be in the conversation yet.
        item: ConversationItem,
        /// Where it is inserted.
        place: Place,
        /// The item's speech, 16 kHz mono, whose words are still to be found.
        audio: Vec<i16>,
    },
    /// Remove an item from the conversation.
    DeleteItem(ItemId),
    /// Ask for an item as it is now; [`Event::ItemRetrieved`] is the answer.
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
    /// At the end of the conversation.
    Last,
    /// Before all other items.
    First,
    /// Directly after the item with this id.
    After(ItemId),
}

/// What goes out over a transport.
#[derive(Clone, Debug, PartialEq)]
pub enum Outbound {
    /// Audio at [`OutputAudio::rate`] of this item of this reply.
    Audio {
        /// The turn it answers; stale turns are dropped.
        turn: TurnId,
        /// The reply that is spoken.
        reply: ReplyId,
        /// The message whose words these are.
        item: ItemId,
        /// Signed 16-bit samples, one channel.
        samples: Vec<i16>,
    },
    /// Drop all audio sent but not yet played.
    Clear,
    /// Tell the client what happened, if the protocol has a message for it.
    Event(Event),
    /// Do something with the call itself. [`CallControl::HangUp`] every transport can; it ignores what it cannot.
    Control(CallControl),
}
