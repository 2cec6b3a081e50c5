//! The engines that requests go to, each with its breaker, its scheduler and its bounds.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_core::measure::{Component, Counter, Gauge, Level, Stage};
use antiphon_core::{RateLimits, lock};

use tokio::time::Instant;

use crate::breaker::{Breaker, BreakerState};
use crate::limit::LimitBounds;
use crate::scheduler::{CAPACITY, PriorityClass, Scheduler};

/// How long an engine may take to answer; longer is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerBounds {
    /// From the request to the first useful piece of the answer. For speech recognition: from a flush to its transcript. For
    /// embeddings: to the whole answer.
    pub first: Duration,
    /// From one piece of the answer to the next.
    pub stall: Duration,
}

impl AnswerBounds {
    /// The bounds of embedding engines, which have no configuration of their own: a search that takes longer than this comes
    /// too late for the reply.
    pub const EMBED: Self = Self { first: Duration::from_secs(1), stall: Duration::from_secs(1) };
}

/// One engine: whether it works, how much it can take, and which request is next.
pub struct Target {
    name: Arc<str>,
    bounds: AnswerBounds,
    breaker: Arc<Breaker>,
    scheduler: Arc<Scheduler>,
}

impl Target {
    /// The name in errors and reports: "llm openai".
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How long it may take.
    pub fn bounds(&self) -> AnswerBounds {
        self.bounds
    }

    /// Decides whether it is asked.
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// Decides which request is next.
    pub fn scheduler(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }
}

/// All engines of a server.
pub struct Targets {
    targets: Mutex<Vec<Arc<Target>>>,
    wait: Arc<Stage>,
}

impl Default for Targets {
    fn default() -> Self {
        Self { targets: Mutex::default(), wait: Arc::new(Stage::new("wait")) }
    }
}

impl Targets {
    /// Adds an engine. Its scheduler hears by `rate_limits` how many more requests its server will take.
    pub fn add(
        &self,
        name: impl Into<Arc<str>>,
        bounds: AnswerBounds,
        limit: LimitBounds,
        rate_limits: &RateLimits,
    ) -> Arc<Target> {
        let name = name.into();
        let scheduler = Arc::new(Scheduler::new(name.clone(), limit, self.wait.clone()));
        let told = Arc::clone(&scheduler);
        rate_limits.listen(move |limit| told.told(limit));
        let breaker = Arc::new(Breaker::new(name.clone()));
        let target = Arc::new(Target { name, bounds, breaker, scheduler });
        lock(&self.targets).push(target.clone());
        target
    }

    /// The engines added so far.
    pub fn all(&self) -> Vec<Arc<Target>> {
        lock(&self.targets).clone()
    }

    /// The measurements of all breakers and of all schedulers.
    pub fn components(self: &Arc<Self>) -> [Arc<dyn Component>; 2] {
        [Arc::new(Breakers(self.clone())), Arc::new(Schedulers(self.clone()))]
    }
}

struct Breakers(Arc<Targets>);

impl Component for Breakers {
    fn name(&self) -> &'static str {
        "breaker"
    }

    fn counters(&self) -> Vec<Counter> {
        let of = |target: &Arc<Target>| {
            let counts = target.breaker.counts();
            [
                counter(target, "opened", counts.opened),
                counter(target, "rejected", counts.rejected),
                counter(target, "failed", counts.failed),
                counter(target, "slow", counts.slow),
            ]
        };
        lock(&self.0.targets).iter().flat_map(of).collect()
    }

    fn levels(&self) -> Vec<Level> {
        let of = |target: &Arc<Target>| {
            let value = state(target);
            Level::new(target.name.to_string(), value, "state")
        };
        lock(&self.0.targets).iter().map(of).collect()
    }

    fn gauges(&self) -> Vec<Gauge> {
        let of = |target: &Arc<Target>| {
            let value = state(target);
            let labels = vec![("target", target.name.to_string())];
            let help = "Whether an engine is asked: 0 closed, 1 half-open, 2 open";
            Gauge { name: "antiphon_breaker_state", help, labels, value }
        };
        lock(&self.0.targets).iter().map(of).collect()
    }
}

/// The state as a number, for dashboards and metrics: 0 closed, 1 half-open, 2 open.
fn state(target: &Target) -> f64 {
    match target.breaker.state() {
        BreakerState::Closed => 0.0,
        BreakerState::HalfOpen => 1.0,
        BreakerState::Open => 2.0,
    }
}

struct Schedulers(Arc<Targets>);

impl Component for Schedulers {
    fn name(&self) -> &'static str {
        "scheduler"
    }

    fn stages(&self) -> Vec<&Stage> {
        vec![&self.0.wait]
    }

    fn counters(&self) -> Vec<Counter> {
        let of = |target: &Arc<Target>| {
            let counts = target.scheduler.load().counts;
            [
                counter(target, "refused", counts.refused),
                counter(target, "displaced", counts.displaced),
                counter(target, "timed out", counts.timed_out),
                counter(target, "cancelled", counts.cancelled),
            ]
        };
        lock(&self.0.targets).iter().flat_map(of).collect()
    }

    fn levels(&self) -> Vec<Level> {
        let of = |target: &Arc<Target>| {
            let load = target.scheduler.load();
            let level = |what: &str, value: usize, limit: Option<usize>| {
                Level::new(format!("{} {what}", target.name), value as f64, "requests")
                    .with_limit(limit.map(|limit| limit as f64))
            };
            let waiting = PriorityClass::ALL.map(|class| {
                let waiting = target.scheduler.waiting(class.priority());
                level(&format!("waiting {}", class.label()), waiting, Some(CAPACITY))
            });
            let limit = limited(load.limit);
            let in_flight = level("in flight", load.in_flight, limit);
            let limit = limit.map(|limit| level("limit", limit, None));
            limit.into_iter().chain([in_flight]).chain(waiting)
        };
        lock(&self.0.targets).iter().flat_map(of).collect()
    }

    fn live_wait(&self) -> Duration {
        let now = Instant::now();
        let waits = |target: &Arc<Target>| target.scheduler.live_wait(now);
        lock(&self.0.targets).iter().map(waits).max().unwrap_or_default()
    }

    fn gauges(&self) -> Vec<Gauge> {
        let of = |target: &Arc<Target>| {
            let waiting = PriorityClass::ALL.map(|class| Gauge {
                name: "antiphon_queue_depth",
                help: "Requests that wait",
                labels: vec![("queue", target.name.to_string()), ("priority", class.label().to_owned())],
                value: target.scheduler.waiting(class.priority()) as f64,
            });
            let limit = limited(target.scheduler.limit()).map(|limit| Gauge {
                name: "antiphon_concurrency_limit",
                help: "Requests that an engine is given at a time",
                labels: vec![("target", target.name.to_string())],
                value: limit as f64,
            });
            waiting.into_iter().chain(limit)
        };
        lock(&self.0.targets).iter().flat_map(of).collect()
    }
}

/// The limit; `None` for an engine that limits itself.
fn limited(limit: usize) -> Option<usize> {
    (limit < LimitBounds::UNLIMITED.max).then_some(limit)
}

fn counter(target: &Target, what: &str, value: u64) -> Counter {
    Counter::new(format!("{} {what}", target.name), value)
}
