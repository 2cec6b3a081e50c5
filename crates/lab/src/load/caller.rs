//! One simulated caller: it makes calls, asks its questions on time, and counts what comes back.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::FRAME;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::handshake::client::Request;

use super::Target;
use super::conversation::{Conversation, Schedule};
use super::line::Line;
use super::speech::Script;
use super::tally::{Count, Failure, Span, Tally};
use super::wire::{Event, Protocol};

/// The fractional part of the golden ratio. Its multiples modulo 1 are spread evenly, however many there are (Weyl's
/// equidistribution theorem), so no two callers speak in step.
const SPREAD: f64 = 0.618_033_988_749_894_9;

/// What all callers of a test share.
pub(super) struct Setup {
    pub(super) target: Target,
    pub(super) request: Request,
    pub(super) script: Arc<Script>,
    pub(super) tally: Arc<Tally>,
    /// When the test began.
    pub(super) start: Instant,
    pub(super) period: Duration,
    pub(super) interruptions: f64,
    pub(super) seed: u64,
}

/// Makes a call. After a failure it calls again when its next turn is due. It ends when the other end of `stop` is dropped and
/// the last question has been answered and its reply heard, or missed.
pub(super) async fn call_until(setup: Arc<Setup>, id: u64, stop: watch::Receiver<()>) {
    let share = (id as f64 * SPREAD).fract();
    let schedule = Schedule { first: setup.start + setup.period.mul_f64(share), period: setup.period };
    let mut caller = Caller { setup, id, schedule, stop };
    while let Err(failure) = caller.call().await {
        caller.setup.tally.fail(failure);
        let again = caller.schedule.next(Instant::now()) - Instant::now();
        if timeout(again, caller.stop.changed()).await.is_ok() {
            return;
        }
    }
}

struct Caller {
    setup: Arc<Setup>,
    id: u64,
    schedule: Schedule,
    stop: watch::Receiver<()>,
}

impl Caller {
    async fn call(&mut self) -> Result<(), Failure> {
        let setup = &*self.setup;
        let tally = &setup.tally;
        let protocol = setup.target.protocol;
        let dialled = Instant::now();
        let mut line = Line::open(&setup.target, setup.request.clone(), self.id).await?;
        let up = Instant::now();
        tally.record(Span::Connect, up - dialled);
        let _up = tally.up();
        let mut conversation = Conversation::new(
            setup.script.clone(),
            tally.clone(),
            self.schedule,
            setup.interruptions,
            setup.seed.wrapping_add(self.id),
            up,
        );
        let mut due = up;
        loop {
            while let Some(text) = line.wait(due, |late| tally.late(late)).await? {
                match protocol.understand(&text).map_err(Failure::Protocol)? {
                    Event::Error(reason) => return Err(Failure::Protocol(reason)),
                    event => conversation.hear(event, Instant::now()),
                }
            }
            if self.stop.has_changed().is_err() && !conversation.is_busy(due) {
                break;
            }
            line.send(conversation.frame(due))?;
            tally.count(Count::Frames);
            while let Some(mark) = conversation.played_mark(due) {
                line.send(Protocol::mark(&mark))?;
            }
            due += FRAME;
        }
        line.close(protocol.end()).await;
        Ok(())
    }
}
