//! A recording takes the place of a person, for `antiphon talk --in A --out B`: one file is played to the agent, and
//! its replies are written to another.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::call::{Inbound, Outbound, OutputAudio, Pacing, Transport};
use antiphon_core::dialog::Phase;
use antiphon_core::{CallControl, Event, FRAME, FRAME_SAMPLES, ReplyId, ReplyStatus, Result, SampleRate};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use crate::turns::{Turn, Turns};

/// The transport's name, for logs and metrics.
pub const NAME: &str = "file";

/// The conversation ends after this much silence behind the recording, so that the last reply can still begin.
const REST: Duration = Duration::from_secs(3);
/// Rate of the replies' audio.
pub const RATE: SampleRate = SampleRate::HZ_24000;

/// What is reported about the conversation while it goes on.
pub enum Said {
    /// A turn is complete.
    Turn(Turn),
    /// An engine failed, with the message to show; the conversation goes on.
    Failed(String),
    /// Audio of a reply as it was heard, at [`RATE`].
    Audio(Vec<i16>),
}

/// Plays a recording to the agent in real time. While the agent thinks or speaks the recording waits, unless
/// `overlap` is set: then it goes on, and may interrupt.
pub struct FileTransport {
    recording: std::vec::IntoIter<i16>,
    overlap: bool,
    tick: Pin<Box<Sleep>>,
    due: Instant,
    phase: Phase,
    /// Silence sent since the recording ended.
    rest: Duration,
    turns: Turns,
    audio: Vec<i16>,
    said: mpsc::UnboundedSender<Said>,
    played: Option<ReplyId>,
    /// The agent has hung up.
    over: bool,
}

impl FileTransport {
    /// `recording` is 16 kHz mono. The channel needs no bound: the length of the recording and the engines' limits on
    /// a reply bound what goes through it.
    pub fn new(recording: Vec<i16>, overlap: bool) -> (Self, mpsc::UnboundedReceiver<Said>) {
        let (said, heard) = mpsc::unbounded_channel();
        let due = Instant::now();
        let transport = Self {
            recording: recording.into_iter(),
            overlap,
            tick: Box::pin(tokio::time::sleep_until(due)),
            due,
            phase: Phase::Listening,
            rest: Duration::ZERO,
            turns: Turns::default(),
            audio: Vec::new(),
            said,
            played: None,
            over: false,
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
        // If nobody receives it any more, the conversation still ends by itself.
        let _ = self.said.send(said);
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Phase(phase) => self.phase = *phase,
            Event::ReplyStarted { .. } => self.audio.clear(),
            Event::ReplyDone { reply, status, .. } if *status != ReplyStatus::Interrupted => {
                self.played = Some(reply.clone());
            }
            Event::Interrupted { heard, .. } => self.audio.truncate(RATE.samples_in(*heard)),
            Event::Failed(error) => self.tell(Said::Failed(error.to_string())),
            _ => {}
        }
        if let Some(turn) = self.turns.take(event) {
            let audio = std::mem::take(&mut self.audio);
            self.tell(Said::Audio(audio));
            self.tell(Said::Turn(turn));
        }
    }
}

impl Transport for FileTransport {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self) -> OutputAudio {
        // Nobody listens to the file while it is made, so replies need not be paced, unless the recording may
        // interrupt them.
        let pacing =
            if self.overlap { Pacing::Server { lead: Duration::from_millis(100) } } else { Pacing::Client };
        OutputAudio { rate: RATE, pacing }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, audio: &mut Vec<i16>) -> Poll<Option<Inbound>> {
        if let Some(reply) = self.played.take().filter(|_| !self.overlap) {
            return Poll::Ready(Some(Inbound::Played(reply)));
        }
        if self.over || self.rest >= REST {
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
            Outbound::Event(event) => self.event(&event),
            Outbound::Control(CallControl::HangUp(_)) => self.over = true,
            // Nothing is queued that could be dropped: the event of the interruption cuts what was not heard.
            Outbound::Clear | Outbound::Control(_) => {}
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_hangs_up_ends_the_recording() {
        let (mut file, _said) = FileTransport::new(vec![1; 160_000], false);
        spec::any(&mut file).await;
        spec::hung_up(&mut file).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_recording_obeys_the_transports_specification() {
        for overlap in [false, true] {
            let (mut file, _said) = FileTransport::new(vec![1; 16_000], overlap);
            spec::any(&mut file).await;
            tokio::time::sleep(Duration::from_secs(10)).await;
            let mut heard = Vec::new();
            while std::future::poll_fn(|cx| file.poll_recv(cx, &mut heard)).await.is_some() {}
            spec::over(&mut file).await;
        }
    }
}
