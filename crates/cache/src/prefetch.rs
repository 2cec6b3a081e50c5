//! Answers made before anybody asks, `[cache] predict = true`: the server learns which question follows which, and while engines
//! are idle it makes the answers to the likely next ones, so that they are in the cache when somebody asks. It is off by
//! default, and nothing outside this folder needs it: a newcomer may skip it. What it gains depends on habits: where callers ask
//! the same questions in the same words, 53 % instead of 27 % of them are answered from the cache; where they do not, it finds
//! out and switches itself off. `chain` learns what follows what, `agents` keeps a chain for each agent, `worth` decides whether
//! predictions pay, `budget` and `space` bound what they take, and `form` writes it all to disk. `docs/caching.md` has the figures.

mod agents;
mod budget;
mod chain;
mod form;
mod space;
#[cfg(test)]
mod tests;
mod worth;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use antiphon_core::measure::{Component, Counter, Level};
use antiphon_core::{AgentVersion, AnsweredQuestion, Prefetch, PrefetchOutcome, Prefetched, lock};
use tokio::time::Instant;

use crate::Cache;
use crate::question::normalise;
use agents::Agents;
use budget::Budget;
pub use budget::PrefetchBudget;
use space::Space;
use worth::{Made, Worth};

/// How many answers are prefetched after one reply, at most: a person speaks again after some seconds, and even the third
/// likeliest question is rarely the one that is asked.
const MAX_AFTER_A_REPLY: usize = 3;

/// Whether engines have so little to do that work nobody waits for may begin.
pub type IsIdle = Arc<dyn Fn() -> bool + Send + Sync>;

/// Decides for each agent of each tenant what to prefetch: the answers to likely questions (`chain.rs`), while that pays
/// (`worth.rs`), within a budget (`budget.rs`), while engines are idle,
/// and only where they push nothing out of the caches (`space.rs`).
pub struct Prefetcher {
    learned: Mutex<Learned>,
    space: Space,
    is_idle: IsIdle,
    counts: Counts,
}

struct Learned {
    agents: Agents,
    budget: Budget,
    worth: Worth,
}

#[derive(Default)]
struct Counts {
    learned: AtomicU64,
    prepared: AtomicU64,
    used: AtomicU64,
    found: AtomicU64,
    dropped: AtomicU64,
    load: AtomicU64,
    budget: AtomicU64,
    space: AtomicU64,
    not_paying: AtomicU64,
}

impl Prefetcher {
    /// A prefetcher that has learned nothing yet; the answers it asks for are kept in `replies` and `speech`.
    pub fn new(budget: PrefetchBudget, replies: Arc<Cache>, speech: Arc<Cache>, is_idle: IsIdle) -> Self {
        let learned = Learned {
            agents: Agents::default(),
            budget: Budget::new(budget, Instant::now()),
            worth: Worth::default(),
        };
        let space = Space::new(replies, speech);
        Self { learned: Mutex::new(learned), space, is_idle, counts: Counts::default() }
    }

    /// What was learned, to be restored after a restart: at most 64 KiB for each agent, 8 MiB in all. Whether predictions pay is
    /// not part of it: that is soon found out again, and may have changed by then.
    pub fn to_bytes(&self) -> Vec<u8> {
        let agents = lock(&self.learned).agents.all();
        // The lock is held for one agent at a time, so that calls are not held up.
        let chain = |agent| Some((agent, lock(&self.learned).agents.get(agent)?.to_bytes()));
        form::to_bytes(agents.iter().filter_map(chain))
    }

    /// Replaces what was learned with what [`Self::to_bytes`] gave. False, and nothing is changed, if the bytes are damaged or of
    /// another version.
    pub fn restore(&self, bytes: &[u8]) -> bool {
        let Some(agents) = form::from_bytes(bytes) else { return false };
        lock(&self.learned).agents = agents;
        true
    }

    /// The counter of the reason why nothing may be prefetched now; `None` if something may.
    fn obstacle(&self, learned: &mut Learned, is_idle: bool, now: Instant) -> Option<&AtomicU64> {
        if !learned.worth.pays(now) {
            Some(&self.counts.not_paying)
        } else if !is_idle {
            Some(&self.counts.load)
        } else if !self.space.has_room(learned.worth.unused(now)) {
            Some(&self.counts.space)
        } else if !learned.budget.take(now) {
            Some(&self.counts.budget)
        } else {
            None
        }
    }
}

impl Prefetch for Prefetcher {
    fn learn(&self, agent: &AgentVersion, question: &AnsweredQuestion<'_>) {
        let words = normalise(question.text);
        if words.is_empty() {
            return;
        }
        let before = question.before.map(normalise);
        let mut learned = lock(&self.learned);
        if question.from_cache && learned.worth.used(agent, (question.after, &words), Instant::now()) {
            count(&self.counts.used);
        }
        let asked = chain::Asked {
            by: question.by,
            before: before.as_deref(),
            words: &words,
            wording: question.text,
        };
        if learned.agents.open(agent).learn(&asked) {
            count(&self.counts.learned);
        }
    }

    fn next(&self, agent: &AgentVersion, before: Option<&str>, already: &[Arc<str>]) -> Option<Arc<str>> {
        if already.len() >= MAX_AFTER_A_REPLY {
            return None;
        }
        let before = before.map(normalise);
        let already: Vec<String> = already.iter().map(|text| normalise(text)).collect();
        let (is_idle, now) = ((self.is_idle)(), Instant::now());
        let mut learned = lock(&self.learned);
        let at_least = learned.worth.break_even();
        let likely = learned.agents.get(agent)?.likely(before.as_deref(), &already, at_least)?;
        if let Some(skipped) = self.obstacle(&mut learned, is_idle, now) {
            count(skipped);
            return None;
        }
        Some(likely)
    }

    fn finished(&self, agent: &AgentVersion, prefetched: &Prefetched<'_>) {
        let Prefetched { question, after, took, outcome } = *prefetched;
        let mut learned = lock(&self.learned);
        learned.budget.spent(took);
        match outcome {
            PrefetchOutcome::Made { saves, clauses } => {
                count(&self.counts.prepared);
                let (agent, question, at) = (agent.clone(), normalise(question), Instant::now());
                learned.worth.made(Made { agent, after, question, at, took, saves, clauses, used: false });
            }
            PrefetchOutcome::Found => {
                count(&self.counts.found);
                learned.budget.give_back();
            }
            PrefetchOutcome::Dropped => count(&self.counts.dropped),
        }
    }
}

impl Component for Prefetcher {
    fn name(&self) -> &'static str {
        "prefetch"
    }

    fn counters(&self) -> Vec<Counter> {
        let all = [
            ("learned", &self.counts.learned),
            ("prepared", &self.counts.prepared),
            ("prepared and used", &self.counts.used),
            ("found prepared", &self.counts.found),
            ("dropped", &self.counts.dropped),
            ("skipped for load", &self.counts.load),
            ("skipped for budget", &self.counts.budget),
            ("skipped for space", &self.counts.space),
            ("skipped as not paying", &self.counts.not_paying),
        ];
        let counter =
            |(name, value): (&'static str, &AtomicU64)| Counter::new(name, value.load(Ordering::Relaxed));
        all.into_iter().map(counter).collect()
    }

    fn levels(&self) -> Vec<Level> {
        let learned = lock(&self.learned);
        let worth = &learned.worth;
        let on = f64::from(u8::from(!worth.rests(Instant::now())));
        vec![
            Level::new("on", on, "0 or 1"),
            Level::new("hit rate", worth.hit_rate(), "of those prepared lately").with_limit(1.0),
            Level::new("hit rate that pays", worth.break_even(), "of those prepared"),
            Level::new("questions", learned.agents.questions() as f64, "questions"),
        ]
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
