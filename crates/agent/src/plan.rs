//! A plan: the lookups before the language model is asked, as typed steps.
//!
//! The steps of a group run concurrently, and a group begins when the one before has settled. A step that the turn
//! does not need is skipped. A step that misses its deadline is dropped and changes nothing, so that no step delays a
//! reply any longer. Dropping a [`Planned`] cancels everything.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::{BoxFuture, Result, StepOutcome, StepReport};
use futures_util::FutureExt;
use tokio::time::{Instant, Sleep, sleep_until};

/// The result of a step: a function that stores it in the turn.
pub type Found<T> = Box<dyn FnOnce(&mut T) + Send>;

type Skip<T> = Box<dyn Fn(&T) -> bool + Send + Sync>;
type Work<T> = Box<dyn Fn(&T) -> BoxFuture<'static, Result<Found<T>>> + Send + Sync>;

/// One lookup for a turn of type `T`.
pub struct Step<T> {
    name: &'static str,
    deadline: Duration,
    skip: Option<Skip<T>>,
    work: Work<T>,
}

impl<T> Step<T> {
    /// `deadline` is how long `work` may take, counted from the beginning of its group.
    pub fn new<F>(
        name: &'static str,
        deadline: Duration,
        work: impl Fn(&T) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Found<T>>> + Send + 'static,
    {
        let work = Box::new(move |turn: &T| work(turn).boxed());
        Self { name, deadline, skip: None, work }
    }

    /// Skips the step for turns of which the condition is true.
    #[must_use]
    pub fn skipped_if(mut self, skip: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.skip = Some(Box::new(skip));
        self
    }
}

/// Groups of steps, one after the other.
pub struct Plan<T> {
    groups: Vec<Vec<Step<T>>>,
}

impl<T> Default for Plan<T> {
    fn default() -> Self {
        Self { groups: Vec::new() }
    }
}

impl<T> Plan<T> {
    /// Adds steps that run concurrently, after the groups added before.
    #[must_use]
    pub fn then(mut self, group: Vec<Step<T>>) -> Self {
        if !group.is_empty() {
            self.groups.push(group);
        }
        self
    }

    /// Starts the plan for a turn.
    pub fn start(self: Arc<Self>, turn: T) -> Planned<T> {
        let mut planned =
            Planned { plan: self, turn, group: 0, running: Vec::new(), timer: None, reports: Vec::new() };
        planned.begin_group();
        planned
    }
}

/// A running plan for one turn.
pub struct Planned<T> {
    plan: Arc<Plan<T>>,
    turn: T,
    group: usize,
    running: Vec<Running<T>>,
    /// Wakes the task at the next deadline. It exists only after something had to be waited for.
    timer: Option<Pin<Box<Sleep>>>,
    reports: Vec<StepReport>,
}

struct Running<T> {
    /// The index of the step in its group.
    step: usize,
    since: Instant,
    work: BoxFuture<'static, Result<Found<T>>>,
}

impl<T> Planned<T> {
    /// The turn with the results so far.
    pub fn turn(&self) -> &T {
        &self.turn
    }

    /// How the steps have ended so far.
    pub fn reports(&self) -> &[StepReport] {
        &self.reports
    }

    /// Runs whatever can make progress. Ready when all steps have settled.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.poll_steps(cx);
            self.drop_late();
            if !self.running.is_empty() {
                self.poll_deadline(cx);
                return Poll::Pending;
            }
            if self.group + 1 >= self.plan.groups.len() {
                return Poll::Ready(());
            }
            self.group += 1;
            self.begin_group();
        }
    }

    fn poll_steps(&mut self, cx: &mut Context<'_>) {
        let mut at = 0;
        while at < self.running.len() {
            match self.running[at].work.poll_unpin(cx) {
                Poll::Ready(Ok(found)) => {
                    found(&mut self.turn);
                    self.settle(at, StepOutcome::Done);
                }
                Poll::Ready(Err(error)) => {
                    tracing::debug!(step = self.step(at).name, %error, "a step of the turn failed");
                    self.settle(at, StepOutcome::Failed);
                }
                Poll::Pending => at += 1,
            }
        }
    }

    fn drop_late(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(at) = (0..self.running.len()).find(|at| self.due(*at) <= now) {
            self.settle(at, StepOutcome::Late);
        }
    }

    /// Sets the timer to the next deadline.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) {
        let Some(due) = (0..self.running.len()).map(|at| self.due(at)).min() else { return };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        if timer.poll_unpin(cx).is_ready() {
            // The deadline has passed just now.
            cx.waker().wake_by_ref();
        }
    }

    fn begin_group(&mut self) {
        let plan = Arc::clone(&self.plan);
        let Some(group) = plan.groups.get(self.group) else { return };
        let since = Instant::now();
        for (step, it) in group.iter().enumerate() {
            if it.skip.as_ref().is_some_and(|skip| skip(&self.turn)) {
                self.reports.push(StepReport {
                    name: it.name,
                    outcome: StepOutcome::Skipped,
                    took: Duration::ZERO,
                });
            } else {
                self.running.push(Running { step, since, work: (it.work)(&self.turn) });
            }
        }
    }

    fn settle(&mut self, at: usize, outcome: StepOutcome) {
        let name = self.step(at).name;
        let running = self.running.swap_remove(at);
        self.reports.push(StepReport { name, outcome, took: running.since.elapsed() });
    }

    fn step(&self, at: usize) -> &Step<T> {
        &self.plan.groups[self.group][self.running[at].step]
    }

    fn due(&self, at: usize) -> Instant {
        self.running[at].since + self.step(at).deadline
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use antiphon_core::Error;
    use tokio::time::sleep;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    type Turn = Vec<&'static str>;

    /// A step that takes `took`, and then records its name.
    fn step(name: &'static str, took: u32, deadline: u32) -> Step<Turn> {
        Step::new(name, MS * deadline, move |_: &Turn| async move {
            sleep(MS * took).await;
            Ok(Box::new(move |turn: &mut Turn| turn.push(name)) as Found<Turn>)
        })
    }

    async fn ready(planned: &mut Planned<Turn>) -> Duration {
        let since = Instant::now();
        poll_fn(|cx| planned.poll_ready(cx)).await;
        since.elapsed()
    }

    fn outcome(planned: &Planned<Turn>, name: &str) -> Option<StepOutcome> {
        planned.reports().iter().find(|report| report.name == name).map(|report| report.outcome)
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_takes_as_long_as_its_slowest_step() {
        let plan = Plan::default().then(vec![step("a", 30, 100), step("b", 50, 100), step("c", 10, 100)]);
        let mut planned = Arc::new(plan).start(Vec::new());
        assert!((50..52).contains(&ready(&mut planned).await.as_millis()));
        assert_eq!(planned.turn(), &["c", "a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_step_is_dropped_at_its_deadline() {
        let plan = Plan::default().then(vec![step("late", 500, 80), step("b", 10, 100)]);
        let mut planned = Arc::new(plan).start(Vec::new());
        assert!((80..82).contains(&ready(&mut planned).await.as_millis()));
        assert_eq!(planned.turn(), &["b"], "what it was to find stays as it was");
        assert_eq!(outcome(&planned, "late"), Some(StepOutcome::Late));
    }

    #[tokio::test(start_paused = true)]
    async fn groups_follow_each_other_and_see_what_was_found() {
        let second = step("b", 10, 100).skipped_if(|turn: &Turn| turn.contains(&"a"));
        let third = step("c", 10, 100).skipped_if(|turn: &Turn| turn.is_empty());
        let plan = Plan::default().then(vec![step("a", 20, 100)]).then(vec![second]).then(vec![third]);
        let mut planned = Arc::new(plan).start(Vec::new());
        assert!((30..33).contains(&ready(&mut planned).await.as_millis()));
        assert_eq!(planned.turn(), &["a", "c"]);
        assert_eq!(outcome(&planned, "b"), Some(StepOutcome::Skipped));
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_fails_delays_nothing() {
        let failing = Step::new("failing", MS * 100, |_: &Turn| async { Err(Error::unavailable("down")) });
        let mut planned = Arc::new(Plan::default().then(vec![failing])).start(Vec::new());
        assert_eq!(ready(&mut planned).await, Duration::ZERO);
        assert_eq!(outcome(&planned, "failing"), Some(StepOutcome::Failed));
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_it_cancels_what_runs() {
        struct Alive(Arc<AtomicUsize>);
        impl Drop for Alive {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let alive = Arc::new(AtomicUsize::new(0));
        let counted = alive.clone();
        let endless = Step::new("endless", MS * 1_000, move |_: &Turn| {
            counted.fetch_add(1, Ordering::Relaxed);
            let guard = Alive(counted.clone());
            async move {
                let _guard = guard;
                pending().await
            }
        });
        let mut planned = Arc::new(Plan::default().then(vec![endless])).start(Vec::new());
        let waited = tokio::time::timeout(MS * 10, ready(&mut planned)).await;
        assert!(waited.is_err() && alive.load(Ordering::Relaxed) == 1);
        drop(planned);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_plan_is_ready_at_once() {
        let mut planned = Arc::new(Plan::<Turn>::default()).start(Vec::new());
        assert_eq!(ready(&mut planned).await, Duration::ZERO);
    }
}
