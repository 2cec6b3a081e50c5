//! Finds answers to questions in other words: [`SemanticReplies`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use antiphon_core::measure::{Component, Counter, Gauge, Level};
use antiphon_core::{Embed, Llm, Priority, Requester, Result, TenantId};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::index::{Decision, ErrorEstimate, SemanticIndex, SemanticOptions};
use super::judge::Judge;
use crate::{Cache, Entry, Key};

/// How long a request waits for the vector of its question, before it goes on to the model.
const FOUND_WITHIN: Duration = Duration::from_millis(20);
/// How long embedding may take where nobody waits for it.
const LEARNED_WITHIN: Duration = Duration::from_secs(10);
/// Answers that are learned at the same time; further ones are not found by their meaning.
const LEARNING: usize = 64;
/// How many of them are compared with another answer at the same time: each takes two short requests to the model.
const COMPARING: usize = 2;
/// How many entries that have left the cache but not yet the index one question passes over.
const GONE: usize = 8;

/// One engine's answers by the meaning of their questions, and how far they may be relied on: see [`SemanticIndex`]. Where a near
/// answer may not be given yet, the model answers, and afterwards it is asked whether both answers say the same, which the
/// index learns from.
pub struct SemanticReplies {
    engine: Arc<str>,
    index: RwLock<SemanticIndex>,
    embed: Arc<dyn Embed>,
    judge: Judge,
    error_bound: f64,
    learning: Arc<Semaphore>,
    comparing: Semaphore,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    agreed: AtomicU64,
    disagreed: AtomicU64,
    not_compared: AtomicU64,
}

/// How well answering questions in other words works.
#[derive(Clone, Debug, PartialEq)]
pub struct SemanticStatistics {
    /// The name of the engine and its model.
    pub engine: Arc<str>,
    /// Questions whose answers can be found by their meaning.
    pub entries: usize,
    /// Answers given to a question in other words.
    pub hits: u64,
    /// Answers of the model that say the same as a near one in the cache.
    pub agreed: u64,
    /// Answers of the model that say something else.
    pub disagreed: u64,
    /// Answers of the model that were not compared: there was no time, or the model cannot compare.
    pub not_compared: u64,
    /// The share of all questions that may get a wrong answer, as configured.
    pub error_bound: f64,
    /// The error of the answers given, as measured by audits.
    pub error: ErrorEstimate,
    /// Whether so many answers agreed that one to nearly the same words may be given.
    pub may_serve: bool,
    /// Whether audits showed more error than is allowed, so that nothing is given until they show less.
    pub is_halted: bool,
    /// Whether the model can tell answers apart; `None` before it was examined.
    pub is_judge_fit: Option<bool>,
}

/// A question whose answer may be found by its meaning.
pub(crate) struct Sought<'a> {
    pub(crate) tenant: &'a str,
    /// The groups of entries that may answer it, in the order in which they are looked at.
    pub(crate) scopes: &'a [Key],
    pub(crate) question: &'a str,
    pub(crate) priority: Priority,
}

/// An answer in the cache that could stand for the one that the model is making now.
pub(crate) struct Trial {
    key: Key,
    similarity: f32,
    decision: Decision,
    entry: Arc<Entry>,
}

/// The outcome of looking for a question in other words.
pub(crate) enum Near {
    /// One was found, and its answer may be given.
    Reply(Arc<Entry>),
    /// One was found, and its answer is to be compared with a new one.
    Trial(Trial),
    /// No question was found that is close enough.
    Nothing,
}

/// A question and its new answer.
pub(crate) struct Answered {
    pub(crate) scope: Key,
    pub(crate) key: Key,
    pub(crate) question: String,
    /// The answer in the cache that this one is to be compared with, and this one.
    pub(crate) trial: Option<(Trial, String)>,
}

impl SemanticReplies {
    /// An empty index. `engine` answers and compares, and is called `name`; of all questions at most a share of `error_bound` may
    /// get a wrong answer.
    ///
    /// # Errors
    /// `Invalid` if the bound is not between 0 and 1.
    pub fn new(
        name: Arc<str>,
        engine: Arc<dyn Llm>,
        embed: Arc<dyn Embed>,
        error_bound: f64,
    ) -> Result<Self> {
        let options = SemanticOptions {
            error_bound,
            dimensions: embed.card().dimensions,
            ..SemanticOptions::default()
        };
        Ok(Self {
            engine: name,
            index: RwLock::new(SemanticIndex::new(options)?),
            embed,
            judge: Judge::new(engine),
            error_bound,
            learning: Arc::new(Semaphore::new(LEARNING)),
            comparing: Semaphore::new(COMPARING),
            counts: Counts::default(),
        })
    }

    /// What was learned about answers in general, to be restored after a restart.
    pub fn evidence(&self) -> Vec<u8> {
        self.read().evidence()
    }

    /// Restores what [`Self::evidence`] gave; false if it is damaged or of another version.
    pub fn restore(&self, evidence: &[u8]) -> bool {
        self.write().restore(evidence)
    }

    /// The name of the engine and its model.
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// What was counted since the start, and how many entries there are.
    pub fn statistics(&self) -> SemanticStatistics {
        let index = self.read();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SemanticStatistics {
            engine: self.engine.clone(),
            entries: index.len(),
            hits: count(&self.counts.hits),
            agreed: count(&self.counts.agreed),
            disagreed: count(&self.counts.disagreed),
            not_compared: count(&self.counts.not_compared),
            error_bound: self.error_bound,
            error: index.measured_error(),
            may_serve: index.may_serve(),
            is_halted: index.is_halted(),
            is_judge_fit: self.judge.is_fit(),
        }
    }

    /// Whether the answer under this key can be found by its meaning.
    pub(crate) fn knows(&self, key: &Key) -> bool {
        self.read().contains(key)
    }

    /// Looks for a question that means the same.
    pub(crate) async fn find(&self, cache: &Cache, sought: &Sought<'_>) -> Near {
        {
            let index = self.read();
            index.asked();
            if !sought.scopes.iter().any(|scope| index.has(scope)) {
                return Near::Nothing;
            }
        }
        let vector = timeout(FOUND_WITHIN, self.vector(sought.question, sought.priority)).await;
        let Ok(Some(vector)) = vector else { return Near::Nothing };
        for _ in 0..GONE {
            let near = {
                let index = self.read();
                sought.scopes.iter().find_map(|scope| index.nearest(scope, sought.question, &vector))
            };
            let Some(near) = near else { break };
            let decision = self.write().decide(&near.key, near.similarity, rand::random());
            let entry = match decision {
                Decision::Serve => cache.get_first(sought.tenant, &[near.key]).await,
                Decision::Explore | Decision::Audit => cache.peek(sought.tenant, &near.key),
            };
            match entry {
                Some(entry) if decision == Decision::Serve => {
                    add(&self.counts.hits);
                    return Near::Reply(entry);
                }
                Some(entry) => {
                    let similarity = near.similarity;
                    return Near::Trial(Trial { key: near.key, similarity, decision, entry });
                }
                None => {
                    self.write().remove(&near.key);
                }
            }
        }
        Near::Nothing
    }

    /// Learns a question and its answer, in a task of its own.
    pub(crate) fn learn(self: &Arc<Self>, answered: Answered) {
        let Ok(permit) = self.learning.clone().try_acquire_owned() else {
            if answered.trial.is_some() {
                add(&self.counts.not_compared);
            }
            return;
        };
        let this = self.clone();
        tokio::spawn(async move {
            let Answered { scope, key, question, trial } = answered;
            let vector = timeout(LEARNED_WITHIN, this.vector(&question, Priority::Batch)).await;
            if let Ok(Some(vector)) = vector
                && let Err(error) = this.write().insert(scope, key, &question, &vector)
            {
                tracing::debug!(%error, "a question is not found by its meaning");
            }
            if let Some((trial, answer)) = trial {
                this.compare(&question, trial, &answer).await;
            }
            drop(permit);
        });
    }

    async fn compare(&self, question: &str, trial: Trial, answer: &str) {
        let requester = Requester::server(TenantId::new(Arc::clone(&trial.entry.tenant)));
        let verdict = match (self.comparing.try_acquire(), std::str::from_utf8(&trial.entry.value)) {
            (Ok(_permit), Ok(kept)) => self.judge.same(&requester, question, kept, answer).await,
            _ => None,
        };
        match verdict {
            Some(true) => add(&self.counts.agreed),
            Some(false) => add(&self.counts.disagreed),
            None => return add(&self.counts.not_compared),
        }
        self.write().learn(&trial.key, trial.similarity, trial.decision, verdict == Some(true));
    }

    /// The vector of a question; `None` after an error, which the embedding engine reports itself.
    async fn vector(&self, question: &str, priority: Priority) -> Option<Vec<f32>> {
        self.embed.embed(vec![question.to_owned()], priority).await.ok()?.pop()
    }

    fn read(&self) -> RwLockReadGuard<'_, SemanticIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, SemanticIndex> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Component for SemanticReplies {
    fn name(&self) -> &'static str {
        "cache reply by meaning"
    }

    fn counters(&self) -> Vec<Counter> {
        let seen = self.statistics();
        let all = [
            ("hits", seen.hits),
            ("answers agreed", seen.agreed),
            ("answers disagreed", seen.disagreed),
            ("answers not compared", seen.not_compared),
        ];
        all.into_iter().map(|(name, value)| Counter::new(name, value)).collect()
    }

    fn levels(&self) -> Vec<Level> {
        let entries = self.read().len() as f64;
        vec![Level::new("entries", entries, "entries")]
    }

    fn gauges(&self) -> Vec<Gauge> {
        let seen = self.statistics();
        let gauge = |name, help, value| Gauge {
            name,
            help,
            labels: vec![("engine", seen.engine.to_string())],
            value,
        };
        vec![
            gauge(
                "antiphon_cache_semantic_hits_total",
                "Answers given to a question in other words",
                seen.hits as f64,
            ),
            gauge(
                "antiphon_cache_semantic_error",
                "With a confidence of 95 %, no more of these answers are wrong",
                seen.error.upper_95,
            ),
        ]
    }
}
