//! The engines that requests go to, each with what stands before it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use antiphon_core::RateLimits;
use antiphon_core::measure::{Component, Counter, Gauge, Level, Stage};

use crate::breaker::{Breaker, BreakerState};
use crate::limit::LimitBounds;
use crate::scheduler::{CAPACITY, PriorityClass, Scheduler};

/// How long an engine may leave somebody waiting; longer is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerBounds {
    /// From the request to the first useful piece of the answer; of speech recognition, from a flush to its transcript;
    /// of embeddings, to the whole answer.
    pub first: Duration,
    /// For each further piece.
    pub stall: Duration,
}

impl AnswerBounds {
    /// The bounds of embedding engines, which have no configuration of their own: a search that takes longer than this comes
    /// too late for the reply.
    pub const EMBED: Self = Self { first: Duration::from_secs(1), stall: Duration::from_secs(1) };
}

/// One engine: whether it works, how much it takes, who is next.
pub struct Target {
    name: Arc<str>,
    bounds: AnswerBounds,
    breaker: Arc<Breaker>,
    scheduler: Arc<Scheduler>,
    rate_limits: Arc<RateLimits>,
}

impl Target {
    /// In errors and tables: "llm openai".
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its bounds.
    pub fn bounds(&self) -> AnswerBounds {
        self.bounds
    }

    /// Whether it works.
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// Who is next.
    pub fn scheduler(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }

    /// Passes on what it said of how much more it will take.
    pub(crate) fn read_rate_limits(&self) {
        if let Some(limit) = self.rate_limits.take() {
            self.scheduler.told(limit);
        }
    }
}

/// All engines, as they are measured.
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
    /// A new engine. `rate_limits` is where it tells what its server says of how much more it will take.
    pub fn add(
        &self,
        name: impl Into<Arc<str>>,
        bounds: AnswerBounds,
        limit: LimitBounds,
        rate_limits: Arc<RateLimits>,
    ) -> Arc<Target> {
        let name = name.into();
        let target = Arc::new(Target {
            breaker: Arc::new(Breaker::new(name.clone())),
            scheduler: Arc::new(Scheduler::new(name.clone(), limit, self.wait.clone())),
            name,
            bounds,
            rate_limits,
        });
        self.targets().push(target.clone());
        target
    }

    /// Those added so far.
    pub fn all(&self) -> Vec<Arc<Target>> {
        self.targets().clone()
    }

    /// Breakers and schedulers, as far as they are measured.
    pub fn components(self: &Arc<Self>) -> [Arc<dyn Component>; 2] {
        [Arc::new(Breakers(self.clone())), Arc::new(Schedulers(self.clone()))]
    }

    /// Nothing panics while it holds this lock.
    fn targets(&self) -> MutexGuard<'_, Vec<Arc<Target>>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.0.targets().iter().flat_map(of).collect()
    }

    fn levels(&self) -> Vec<Level> {
        let of = |target: &Arc<Target>| {
            let value = state(target);
            Level { name: target.name.to_string().into(), value, limit: None, unit: "state".into() }
        };
        self.0.targets().iter().map(of).collect()
    }

    fn gauges(&self) -> Vec<Gauge> {
        let of = |target: &Arc<Target>| {
            let value = state(target);
            let labels = vec![("target", target.name.to_string())];
            let help = "Whether an engine is asked: 0 closed, 1 half-open, 2 open";
            Gauge { name: "antiphon_breaker_state", help, labels, value }
        };
        self.0.targets().iter().map(of).collect()
    }
}

/// As dashboards and metrics show it: 0 closed, 1 half-open, 2 open.
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
        self.0.targets().iter().flat_map(of).collect()
    }

    fn levels(&self) -> Vec<Level> {
        let of = |target: &Arc<Target>| {
            let load = target.scheduler.load();
            let level = |what: &str, value: usize, limit: Option<usize>| Level {
                name: format!("{} {what}", target.name).into(),
                value: value as f64,
                limit: limit.map(|limit| limit as f64),
                unit: "requests".into(),
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
        self.0.targets().iter().flat_map(of).collect()
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
        self.0.targets().iter().flat_map(of).collect()
    }
}

/// The limit, where there is one.
fn limited(limit: usize) -> Option<usize> {
    (limit < LimitBounds::UNLIMITED.max).then_some(limit)
}

fn counter(target: &Target, what: &str, value: u64) -> Counter {
    Counter { name: format!("{} {what}", target.name).into(), value }
}
