//! A recording as the person: a conversation from file to file, for `antiphon talk --in A --out B`.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::call::{Inbound, Outbound, OutputAudio, Pacing, Transport};
use antiphon_core::dialog::Phase;
use antiphon_core::{
    Event, FRAME, FRAME_SAMPLES, ReplyId, ReplyStatus, Result, SampleRate, TurnId, TurnLatency,
};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

/// The person is silent for this long after the recording before the conversation is over.
const REST: Duration = Duration::from_secs(3);
/// Rate of the replies' audio.
pub(crate) const RATE: SampleRate = SampleRate::HZ_24000;

/// One turn of a conversation, as printed by `antiphon talk --json`.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Turn {
    /// Counts from 1; 0 is what the agent said by itself.
    #[serde(rename = "turn")]
    pub(crate) number: TurnId,
    /// What the person said.
    pub(crate) user: String,
    /// What the agent said; after an interruption, what of it was heard.
    pub(crate) reply: String,
    /// Whether the person cut the reply off.
    pub(crate) interrupted: bool,
    /// Whether the reply came from a cache.
    pub(crate) served_from_cache: bool,
    /// Stage by stage.
    pub(crate) latency_ms: TurnLatency,
}

/// What comes of the conversation.
pub(crate) enum Said {
    /// A turn is complete.
    Turn(Turn),
    /// An engine failed.
    Failed(String),
    /// Audio of a reply as it was heard, at [`RATE`].
    Audio(Vec<i16>),
}

/// Plays a recording to the agent in real time. While the agent has the floor the recording waits, unless
/// `overlap`: then it talks on, and may interrupt.
pub(crate) struct FileTransport {
    recording: std::vec::IntoIter<i16>,
    overlap: bool,
    tick: Pin<Box<Sleep>>,
    due: Instant,
    phase: Phase,
    /// Silence sent since the recording ended.
    rest: Duration,
    words: BTreeMap<TurnId, Turn>,
    text: String,
    audio: Vec<i16>,
    said: mpsc::UnboundedSender<Said>,
    played: Option<ReplyId>,
}

impl FileTransport {
    /// `recording` is 16 kHz mono. Its length and the engines' limits on a reply bound what is said.
    pub(crate) fn new(recording: Vec<i16>, overlap: bool) -> (Self, mpsc::UnboundedReceiver<Said>) {
        let (said, heard) = mpsc::unbounded_channel();
        let due = Instant::now();
        let transport = Self {
            recording: recording.into_iter(),
            overlap,
            tick: Box::pin(tokio::time::sleep_until(due)),
            due,
            phase: Phase::Listening,
            rest: Duration::ZERO,
            words: BTreeMap::new(),
            text: String::new(),
            audio: Vec::new(),
            said,
            played: None,
        };
        (transport, heard)
    }

    fn busy(&self) -> bool {
        matches!(self.phase, Phase::Thinking | Phase::Speaking | Phase::Interrupted)
    }

    /// The next 20 ms of the recording, or of silence.
    fn frame(&mut self, audio: &mut Vec<i16>) {
        let waits = self.busy() && !self.overlap;
        let before = audio.len();
        if !waits {
            audio.extend(self.recording.by_ref().take(FRAME_SAMPLES));
        }
        audio.resize(before + FRAME_SAMPLES, 0);
        let resting = self.recording.len() == 0 && self.phase == Phase::Listening;
        self.rest = if resting { self.rest + FRAME } else { Duration::ZERO };
    }

    fn tell(&self, said: Said) {
        // Nobody listens any more: the conversation ends by itself.
        let _ = self.said.send(said);
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Phase(phase) => self.phase = phase,
            Event::UserText { text, done: true, .. } => self.text = text,
            Event::ReplyStarted { turn, .. } => {
                let user = std::mem::take(&mut self.text);
                self.words.insert(turn, Turn { number: turn, user, ..Turn::default() });
                self.audio.clear();
            }
            Event::Latency { turn, latency } => {
                self.words.entry(turn).or_default().latency_ms = latency;
            }
            Event::ReplyDone { reply, turn, output, status, .. } => {
                let entry = self.words.entry(turn).or_default();
                entry.reply = output.iter().map(antiphon_core::Item::text).collect::<Vec<_>>().join(" ");
                entry.interrupted = status == ReplyStatus::Interrupted;
                if !entry.interrupted {
                    self.played = Some(reply);
                    self.finish(turn);
                }
            }
            Event::Interrupted { text, heard, .. } => {
                if let Some((&turn, entry)) = self.words.iter_mut().next_back() {
                    entry.reply = text;
                    entry.interrupted = true;
                    self.audio.truncate(RATE.samples_in(heard));
                    self.finish(turn);
                }
            }
            Event::Failed(error) => self.tell(Said::Failed(error.to_string())),
            _ => {}
        }
    }

    fn finish(&mut self, turn: TurnId) {
        let audio = std::mem::take(&mut self.audio);
        self.tell(Said::Audio(audio));
        if let Some(words) = self.words.remove(&turn) {
            self.tell(Said::Turn(words));
        }
    }
}

impl Transport for FileTransport {
    fn name(&self) -> &'static str {
        "file"
    }

    fn output(&self) -> OutputAudio {
        // Nobody listens to the file while it is made: unless the recording may interrupt, replies need no time.
        let pacing =
            if self.overlap { Pacing::Server { lead: Duration::from_millis(100) } } else { Pacing::Client };
        OutputAudio { rate: RATE, pacing }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, audio: &mut Vec<i16>) -> Poll<Option<Inbound>> {
        if let Some(reply) = self.played.take().filter(|_| !self.overlap) {
            return Poll::Ready(Some(Inbound::Played(reply)));
        }
        if self.rest >= REST {
            return Poll::Ready(None);
        }
        std::task::ready!(self.tick.as_mut().poll(cx));
        self.due += FRAME;
        self.tick.as_mut().reset(self.due);
        self.frame(audio);
        Poll::Ready(Some(Inbound::Audio))
    }

    fn send(&mut self, outbound: Outbound) {
        match outbound {
            Outbound::Audio { samples, .. } => self.audio.extend(samples),
            Outbound::Event(event) => self.event(event),
            Outbound::Clear | Outbound::Hangup => {}
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}
