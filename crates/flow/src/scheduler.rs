//! Decides which request to an engine is sent next: as many at a time as its limit allows, urgent ones first.

mod queue;

use std::future::Future;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use antiphon_core::measure::Stage;
use antiphon_core::{Error, ErrorKind, Priority, RateLimit, Result, Share, lock};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use crate::limit::{Limit, LimitBounds, Sample};
use queue::{CAPACITY_EACH, Class, Queue};

pub(crate) use queue::{CAPACITY, Class as PriorityClass};

/// After this time whoever was refused because too many wait is told to ask again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Lets requests through to one engine.
pub struct Scheduler {
    target: Arc<str>,
    /// No permit may be dropped while this is locked: that locks it.
    state: Mutex<SchedulerState>,
    /// The time that requests wait for their permits.
    wait: Arc<Stage>,
}

struct SchedulerState {
    limit: Limit,
    queue: Queue<Waiter>,
    /// When a task will dispatch again because the engine is paused now.
    alarm: Option<Instant>,
    counts: Counts,
}

type Waiter = oneshot::Sender<Result<Permit>>;

/// How many requests were not let through so far, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) refused: u64,
    pub(crate) displaced: u64,
    pub(crate) timed_out: u64,
    pub(crate) cancelled: u64,
}

/// The load of a scheduler at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) limit: usize,
    pub(crate) in_flight: usize,
    pub(crate) counts: Counts,
}

impl Scheduler {
    /// A scheduler with nothing to do; errors name the engine as `target`: "llm openai". `wait` times how long requests
    /// wait for their permits.
    pub fn new(target: Arc<str>, bounds: LimitBounds, wait: Arc<Stage>) -> Self {
        let state = SchedulerState {
            limit: Limit::new(bounds),
            queue: Queue::default(),
            alarm: None,
            counts: Counts::default(),
        };
        Self { target, state: Mutex::new(state), wait }
    }

    /// Waits until a request of this priority may be sent, on the account of `share`. Dropping the future gives up the place in
    /// the queue.
    ///
    /// # Errors
    /// `RateLimited`, which is no failure of the engine: when the queue is full, in all or for this share, when a more urgent
    /// request took the place in it, after the longest wait of this priority, or when the engine takes nothing for longer than
    /// that.
    pub fn acquire(
        self: &Arc<Self>,
        priority: Priority,
        share: Share,
    ) -> impl Future<Output = Result<Permit>> + Send + use<> {
        let scheduler = Arc::clone(self);
        async move {
            let class = Class::of(priority);
            let since = Instant::now();
            let waited = match scheduler.enter(class, share, since)? {
                Entered::Started(permit) => {
                    scheduler.wait.record(Duration::ZERO);
                    return Ok(permit);
                }
                Entered::Waits(waiting) => waiting.granted().await,
            };
            scheduler.wait.record(since.elapsed());
            waited
        }
    }

    /// A permit at once, whatever the limit: for requests that cannot wait but count as in flight.
    pub fn count(self: &Arc<Self>, priority: Priority, share: Share) -> Permit {
        lock(&self.state).start(self, Class::of(priority), share, Instant::now())
    }

    /// How many requests may be in flight.
    pub fn limit(&self) -> usize {
        lock(&self.state).limit.now()
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        lock(&self.state).queue.in_flight()
    }

    /// For how long the request of a live turn that waits longest has waited.
    pub(crate) fn live_wait(&self, now: Instant) -> Duration {
        lock(&self.state).queue.longest_wait(Class::of(Priority::LiveTurn), now)
    }

    /// How many requests of this priority wait.
    pub fn waiting(&self, priority: Priority) -> usize {
        lock(&self.state).queue.waiting(Class::of(priority))
    }

    /// The engine said how many more requests it will take.
    pub fn told(self: &Arc<Self>, limit: RateLimit) {
        lock(&self.state).limit.told(limit, Instant::now());
        self.dispatch();
    }

    pub(crate) fn load(&self) -> Load {
        let state = lock(&self.state);
        Load { limit: state.limit.now(), in_flight: state.queue.in_flight(), counts: state.counts }
    }

    fn enter(self: &Arc<Self>, class: Class, share: Share, now: Instant) -> Result<Entered> {
        let mut state = lock(&self.state);
        if state.queue.is_next(class, state.limit.now()) && state.closed_until(class, now).is_none() {
            return Ok(Entered::Started(state.start(self, class, share, now)));
        }
        if let Some(until) = state.closed_until(class, now)
            && until - now > class.longest_wait()
        {
            state.counts.refused += 1;
            return Err(self.paused(until - now));
        }
        if state.queue.is_full_for(&share) {
            state.counts.refused += 1;
            return Err(self.full_for_one());
        }
        let displaced = if state.queue.is_full() {
            let Some(least) = state.queue.displace(class) else {
                state.counts.refused += 1;
                return Err(self.full());
            };
            state.counts.displaced += 1;
            Some(least)
        } else {
            None
        };
        let (waiter, granted) = oneshot::channel();
        let place = state.queue.push(class, share, now, waiter);
        drop(state);
        if let Some(least) = displaced {
            // Its receiver may have been dropped just now.
            let _ = least.send(Err(self.full()));
        }
        // The engine's pause may just have ended; if it has not, an alarm must be set.
        self.dispatch();
        Ok(Entered::Waits(Waiting { scheduler: Arc::clone(self), class, place, granted }))
    }

    /// Lets through all requests that may be sent now.
    fn dispatch(self: &Arc<Self>) {
        let now = Instant::now();
        let mut started = Vec::new();
        let mut state = lock(&self.state);
        while let Some((class, share, waiter)) = state.next(now) {
            started.push((waiter, state.start(self, class, share, now)));
        }
        let alarm = state.next_alarm(now);
        drop(state);
        for (waiter, permit) in started {
            // If the receiver is gone the permit is dropped, which lets the next request through.
            let _ = waiter.send(Ok(permit));
        }
        if let (Some(at), Ok(runtime)) = (alarm, Handle::try_current()) {
            runtime.spawn(ring(Arc::downgrade(self), at));
        }
    }

    fn full(&self) -> Error {
        let target = &self.target;
        overloaded(format!(
            "{target} is overloaded and its queue is full: {CAPACITY} requests wait; send fewer at a time or ask again later"
        ))
    }

    fn full_for_one(&self) -> Error {
        let target = &self.target;
        overloaded(format!(
            "{CAPACITY_EACH} of your requests wait for {target} already: send fewer at a time or ask again later"
        ))
    }

    fn paused(&self, wait: Duration) -> Error {
        let message = format!(
            "{} takes no more requests for {:.1} s: its rate limit is reached",
            self.target,
            wait.as_secs_f64()
        );
        Error::new(ErrorKind::RateLimited, message).with_retry_after(wait)
    }
}

/// Too many requests wait: for whoever asked, and not because the engine failed.
fn overloaded(message: String) -> Error {
    Error::new(ErrorKind::RateLimited, message).with_retry_after(ASK_AGAIN)
}

/// Dispatches once a paused engine may be asked again.
async fn ring(scheduler: Weak<Scheduler>, at: Instant) {
    sleep_until(at).await;
    if let Some(scheduler) = scheduler.upgrade() {
        lock(&scheduler.state).alarm = None;
        scheduler.dispatch();
    }
}

impl SchedulerState {
    fn closed_until(&self, class: Class, now: Instant) -> Option<Instant> {
        self.limit.closed_until(class.share(), now)
    }

    fn next(&mut self, now: Instant) -> Option<(Class, Share, Waiter)> {
        let limit = &self.limit;
        self.queue.next(limit.now(), now, |class| limit.closed_until(class.share(), now).is_none())
    }

    fn start(&mut self, scheduler: &Arc<Scheduler>, class: Class, share: Share, now: Instant) -> Permit {
        self.limit.sent();
        let in_flight = self.queue.start(class, &share);
        Permit { scheduler: Arc::clone(scheduler), class, share, began: now, in_flight }
    }

    /// Notes the time at which the first waiting request may be sent; `None` if none waits for the time or an earlier alarm is set.
    fn next_alarm(&mut self, now: Instant) -> Option<Instant> {
        let waiting = Class::ALL.into_iter().filter(|class| self.queue.waiting(*class) > 0);
        let at = waiting.filter_map(|class| self.closed_until(class, now)).min()?;
        if self.alarm.is_some_and(|alarm| alarm <= at) {
            return None;
        }
        self.alarm = Some(at);
        Some(at)
    }
}

enum Entered {
    Started(Permit),
    Waits(Waiting),
}

/// A place in the queue, which is given up when this is dropped.
struct Waiting {
    scheduler: Arc<Scheduler>,
    class: Class,
    place: u64,
    granted: oneshot::Receiver<Result<Permit>>,
}

impl Waiting {
    async fn granted(mut self) -> Result<Permit> {
        let longest = self.class.longest_wait();
        let target = &self.scheduler.target;
        match timeout(longest, &mut self.granted).await {
            Ok(Ok(granted)) => granted,
            // The sender lives in the queue, and the queue in the scheduler.
            Ok(Err(_)) => Err(Error::internal(format!("{target}: a place in the queue was lost"))),
            Err(_) => {
                let mut state = lock(&self.scheduler.state);
                state.queue.remove(self.class, self.place);
                state.counts.timed_out += 1;
                let wait = longest.as_secs();
                let message =
                    format!("{target} is overloaded: no place became free in {wait} s; ask again later");
                Err(overloaded(message))
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = lock(&self.scheduler.state);
        let waiter = state.queue.remove(self.class, self.place);
        state.counts.cancelled += u64::from(waiter.is_some());
    }
}

/// The permit of one request, which counts as in flight until this is dropped.
#[must_use = "the request counts as in flight only while its permit lives"]
pub struct Permit {
    scheduler: Arc<Scheduler>,
    class: Class,
    share: Share,
    began: Instant,
    in_flight: usize,
}

impl Permit {
    /// When the request could be sent.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The first useful piece of the answer has come.
    pub fn answered(&self, now: Instant) {
        let latency = now.saturating_duration_since(self.began);
        let sample = Sample { began: self.began, latency, in_flight: self.in_flight };
        lock(&self.scheduler.state).limit.answered(sample);
        self.scheduler.dispatch();
    }

    /// The engine answered with an error; one that says that it is overloaded or late lowers the limit.
    pub fn failed(&self, error: &Error, now: Instant) {
        lock(&self.scheduler.state).limit.failed(error, self.began, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.scheduler.state).queue.finish(self.class, &self.share);
        self.scheduler.dispatch();
    }
}

#[cfg(test)]
mod tests;
