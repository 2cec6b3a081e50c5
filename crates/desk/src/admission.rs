//! Admission: limits how many calls run at a time, by number and by what the machine bears, and ends them when the server stops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_core::measure::{Component, Level};
use antiphon_core::{Error, ErrorKind, Share, lock};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::pace::Recordings;
use crate::quota::{Exhausted, Part, Quota};
use crate::seldom::Seldom;
use crate::strain::{Gauge, Strain};

/// Speculative work such as prefetching is done only while at most one in this many of the allowed calls is running,
/// so that it never slows a live call down.
const IDLE_SHARE: usize = 4;
/// What `Retry-After` tells refused callers. A guess: calls last minutes and a restart lasts seconds, so no value
/// fits both.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// So many calls for each core are admitted however late frames are: they cost a core a tenth of its time, so that something else must
/// keep it busy, and refusing them would not help.
const CALLS_ALWAYS: usize = 25;
/// So many calls for each core are admitted however long requests wait for engines: the server is there to answer.
const CALLS_WITHOUT_ENGINES: usize = 1;
/// Time between two newcomers while the machine is tense.
const APART: Duration = Duration::from_millis(200);

/// Counts the running calls, and knows the limits and whether new calls may begin. Clones share this state.
///
/// A call that begins or ends wakes nobody: with a thousand calls held, that would be a thousand tasks to run for each.
#[derive(Clone)]
pub struct Calls {
    max: usize,
    each: usize,
    shared: Arc<Shared>,
}

struct Shared {
    lines: Arc<Quota<Share>>,
    draining: AtomicBool,
    /// Set once running calls have been told to end: how long their goodbyes may take.
    ending: watch::Sender<Option<Duration>>,
    /// Told when a call ends while the server drains.
    ended: Notify,
    refusals: Seldom,
    cores: usize,
    load: Mutex<Load>,
    recordings: Arc<Recordings>,
}

/// What the machine bears.
#[derive(Default)]
struct Load {
    gauge: Gauge,
    strain: Strain,
    /// When the last call was admitted while the machine was tense.
    newcomer: Option<Instant>,
}

impl Calls {
    /// Whether so few calls run that background work, for which nobody waits, does not disturb them.
    pub fn are_few(&self) -> bool {
        self.active() * IDLE_SHARE <= self.max
    }

    /// Whether a reply may be prepared ahead of time now. A single call always may: it has the engines to itself
    /// while nobody speaks, even where the limit on calls is so low that one call already counts as many.
    pub fn leave_time(&self) -> bool {
        self.active() <= 1 || self.are_few() && self.strain() == Strain::Calm
    }

    /// Allows at most `max` calls at a time.
    pub fn new(max: usize) -> Self {
        Self::divided(max, max)
    }

    /// Allows at most `max` calls at a time, of which one share may hold `each`.
    pub fn divided(max: usize, each: usize) -> Self {
        let shared = Shared {
            lines: Arc::new(Quota::new(max, each)),
            draining: AtomicBool::new(false),
            ending: watch::Sender::new(None),
            ended: Notify::new(),
            refusals: Seldom::default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load: Mutex::default(),
            recordings: Arc::default(),
        };
        Self { max, each, shared: Arc::new(shared) }
    }

    /// Admits one more call, which counts until the guard is dropped. `transport` is for the log. `share` holds the line;
    /// `None` for those who call on behalf of many people, such as telephone companies.
    pub fn admit(&self, transport: &'static str, share: Option<Share>) -> Result<CallGuard, Busy> {
        let admitted = self.take_line(share);
        if let Err(busy) = &admitted
            && let Some(held_back) = self.shared.refusals.due()
        {
            tracing::warn!(transport, %busy, further_refusals_before = held_back, "call refused");
        }
        admitted
    }

    fn take_line(&self, share: Option<Share>) -> Result<CallGuard, Busy> {
        if self.draining() {
            return Err(Busy::Draining);
        }
        if let Some(overload) = self.overload() {
            return Err(overload);
        }
        let mut line = self.shared.lines.part(share);
        line.grow(1).map_err(|exhausted| match exhausted {
            Exhausted::InAll(max) => Busy::Full(max),
            Exhausted::Each(each) => Busy::Share(each),
        })?;
        let admitted = CallGuard { line, shared: Arc::clone(&self.shared) };
        lock(&self.shared.load).newcomer = Some(Instant::now());
        // If draining has begun meanwhile, it may have found no call to wait for.
        if self.draining() { Err(Busy::Draining) } else { Ok(admitted) }
    }

    /// Why a call would be refused now, whoever calls; `None` if it would be admitted.
    pub fn busy(&self) -> Option<Busy> {
        match self.active() {
            _ if self.draining() => Some(Busy::Draining),
            active if active >= self.max => Some(Busy::Full(self.max)),
            _ => self.overload(),
        }
    }

    /// Why the machine cannot bear another call now.
    fn overload(&self) -> Option<Busy> {
        // Clients that play recordings wait themselves while they do, so they are no reason to refuse somebody who speaks.
        let active = self.active().saturating_sub(self.shared.recordings.waiting());
        let load = lock(&self.shared.load);
        let was_admitted = || load.newcomer.is_some_and(|newcomer| newcomer.elapsed() < APART);
        let (is_over, always) = match load.strain {
            Strain::Calm => (false, 0),
            Strain::Tense => (was_admitted(), CALLS_ALWAYS),
            Strain::Late => (true, CALLS_ALWAYS),
            Strain::EnginesFull => (true, CALLS_WITHOUT_ENGINES),
        };
        (is_over && active >= always * self.shared.cores).then_some(Busy::Overloaded)
    }

    /// A frame was so `late`, and the request of a live turn that waits longest for an engine has waited for `waits`: decides whether
    /// newcomers are admitted from now on. To be told every [`FRAME`](crate::FRAME).
    pub fn measured(&self, late: Duration, waits: Duration) {
        let mut load = lock(&self.shared.load);
        load.strain = load.gauge.measured(late, waits);
    }

    fn strain(&self) -> Strain {
        lock(&self.shared.load).strain
    }

    /// Why a call of this share would be refused now; `None` if it would be admitted.
    pub fn busy_for(&self, share: Option<&Share>) -> Option<Busy> {
        let is_over = |share: &Share| self.shared.lines.taken_by(share) >= self.each;
        self.busy().or_else(|| share.filter(|share| is_over(share)).map(|_| Busy::Share(self.each)))
    }

    /// How many calls are running.
    pub fn active(&self) -> usize {
        self.shared.lines.taken()
    }

    /// Whether new calls are refused because the server is stopping.
    pub fn draining(&self) -> bool {
        self.shared.draining.load(Ordering::SeqCst)
    }

    /// Tells all calls to end. Their goodbyes may take this long.
    pub fn end(&self, within: Duration) {
        self.shared.ending.send_replace(Some(within));
    }

    /// Refuses new calls, and waits until the last one is over, for `patience` at most. Returns how many are left.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.shared.draining.store(true, Ordering::SeqCst);
        let over = async {
            loop {
                let ended = self.shared.ended.notified();
                if self.active() == 0 {
                    return;
                }
                ended.await;
            }
        };
        drop(tokio::time::timeout(patience, over).await);
        self.active()
    }
}

impl Component for Calls {
    fn name(&self) -> &'static str {
        "admission"
    }

    fn levels(&self) -> Vec<Level> {
        let late = lock(&self.shared.load).gauge.mean();
        vec![Level::new("frames late", late.as_secs_f64() * 1_000.0, "ms")]
    }
}

/// One admitted call. Dropping it makes room for another.
#[must_use]
pub struct CallGuard {
    line: Part<Share>,
    shared: Arc<Shared>,
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.line.clear();
        if self.shared.draining.load(Ordering::SeqCst) {
            self.shared.ended.notify_waiters();
        }
    }
}

impl CallGuard {
    /// The recordings that clients of all calls play.
    pub(crate) fn recordings(&self) -> Arc<Recordings> {
        Arc::clone(&self.shared.recordings)
    }

    /// Resolves when the call must end because the server stops, to how long its goodbye may take.
    pub fn ending(&self) -> impl Future<Output = Duration> + Send + 'static {
        let mut ending = self.shared.ending.subscribe();
        async move {
            let told = ending.wait_for(Option::is_some).await.map(|told| *told);
            match told {
                Ok(Some(within)) => within,
                // The sender is gone, so nobody can end the call any more.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
    }
}

/// Why a call was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// The limit on calls is reached.
    #[error("all {0} lines are taken; call again later, or raise `max_calls` in [server.limits]")]
    Full(usize),
    /// Whoever calls holds as many lines as one may.
    #[error(
        "this key or address holds {0} lines, which is as many as one may; end a call, or raise `max_calls_each` in [server.limits]"
    )]
    Share(usize),
    /// The machine does not keep up with the calls it has.
    #[error(
        "this machine is busy with the calls it has; call again later, or find with `antiphon load stress --save` how many calls it holds"
    )]
    Overloaded,
    /// The server is stopping.
    #[error("the server is shutting down and takes no new calls; connect again in a moment")]
    Draining,
}

impl From<Busy> for Error {
    fn from(busy: Busy) -> Self {
        let kind = match busy {
            Busy::Full(_) | Busy::Overloaded | Busy::Draining => ErrorKind::Unavailable,
            Busy::Share(_) => ErrorKind::RateLimited,
        };
        Error::new(kind, busy.to_string()).with_retry_after(RETRY_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Wake, Waker};

    use super::*;
    use crate::pace::Pace;

    #[test]
    fn a_call_over_the_limit_is_refused_until_one_ends() {
        let calls = Calls::new(1);
        let first = calls.admit("test", None).expect("the first call");
        assert_eq!(calls.admit("test", None).err(), Some(Busy::Full(1)));
        drop(first);
        assert_eq!(calls.active(), 0);
        assert!(calls.admit("test", None).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn draining_refuses_new_calls_and_waits_for_the_last_one() {
        let calls = Calls::new(2);
        let guard = calls.admit("test", None).expect("a call");
        let draining = tokio::spawn({
            let calls = calls.clone();
            async move { calls.drain(Duration::from_mins(1)).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(calls.admit("test", None).err(), Some(Busy::Draining));
        drop(guard);
        assert_eq!(draining.await.expect("drained"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn draining_waits_no_longer_than_told() {
        let calls = Calls::new(2);
        let _guard = calls.admit("test", None).expect("a call");
        assert_eq!(calls.drain(Duration::from_secs(1)).await, 1);
    }

    #[test]
    fn one_share_leaves_lines_for_others_and_who_calls_for_many_is_not_counted() {
        let calls = Calls::divided(4, 2);
        let key = |name: &str| Some(Share::Key(name.into()));
        let held: Vec<_> = (0..2).map(|_| calls.admit("test", key("key-1")).expect("its part")).collect();
        assert_eq!(calls.admit("test", key("key-1")).err(), Some(Busy::Share(2)));
        assert_eq!(calls.busy_for(key("key-1").as_ref()), Some(Busy::Share(2)));
        assert_eq!((calls.busy_for(key("key-2").as_ref()), calls.busy()), (None, None));
        let _telephones =
            [calls.admit("test", None).expect("a line"), calls.admit("test", None).expect("a line")];
        assert_eq!(calls.admit("test", key("key-2")).err(), Some(Busy::Full(4)));
        drop(held);
        assert!(calls.admit("test", key("key-1")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_does_not_keep_up_takes_no_newcomers_and_ends_no_call() {
        let calls = Calls::new(10_000);
        let cores = calls.shared.cores;
        let late = |ms| (0..500).for_each(|_| calls.measured(Duration::from_millis(ms), Duration::ZERO));
        late(20);
        let few: Vec<_> = (0..CALLS_ALWAYS * cores).map(|_| calls.admit("test", None)).collect();
        assert!(few.iter().all(Result::is_ok), "so few calls are not the cause");
        assert_eq!(calls.admit("test", None).err(), Some(Busy::Overloaded));
        assert_eq!(calls.busy(), Some(Busy::Overloaded));
        late(0);
        late(5);
        tokio::time::advance(APART).await;
        let _newcomer = calls.admit("test", None).expect("one after another");
        assert_eq!(calls.admit("test", None).err(), Some(Busy::Overloaded), "too soon");
        late(0);
        assert!(calls.admit("test", None).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn recordings_that_wait_refuse_nobody_who_speaks() {
        let calls = Calls::new(10_000);
        let many = CALLS_ALWAYS * calls.shared.cores;
        let recordings: Vec<_> = (0..many).map(|_| calls.admit("test", None).expect("a line")).collect();
        (0..500).for_each(|_| calls.measured(Duration::from_millis(20), Duration::ZERO));
        assert_eq!(calls.busy(), Some(Busy::Overloaded));
        let mut paces: Vec<_> = recordings.iter().map(|call| Pace::new(call.recordings())).collect();
        for pace in &mut paces {
            pace.took(2 * 16_000);
        }
        assert_eq!(calls.busy(), None);
        drop(paces);
        assert_eq!(calls.busy(), Some(Busy::Overloaded));
    }

    #[test]
    fn engines_without_room_refuse_newcomers() {
        let calls = Calls::new(10_000);
        let cores = calls.shared.cores;
        calls.measured(Duration::ZERO, Duration::from_secs(2));
        let few: Vec<_> = (0..CALLS_WITHOUT_ENGINES * cores).map(|_| calls.admit("test", None)).collect();
        assert!(few.iter().all(Result::is_ok));
        assert_eq!(calls.admit("test", None).err(), Some(Busy::Overloaded));
        calls.measured(Duration::ZERO, Duration::ZERO);
        assert!(calls.admit("test", None).is_ok());
    }

    /// Counts how often tasks are woken.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_call_that_begins_or_ends_wakes_no_other() {
        let calls = Calls::new(1_000);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut cx = Context::from_waker(&waker);
        let held: Vec<_> = (0..900).map(|_| calls.admit("test", None).expect("a line")).collect();
        let mut endings: Vec<_> = held.iter().map(|call| Box::pin(call.ending())).collect();
        assert!(endings.iter_mut().all(|ending| ending.as_mut().poll(&mut cx).is_pending()));
        drop(calls.admit("test", None).expect("a line"));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
        calls.end(Duration::ZERO);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 900, "all of them once, when the server stops");
        assert!(endings.iter_mut().all(|ending| ending.as_mut().poll(&mut cx).is_ready()));
    }
}
