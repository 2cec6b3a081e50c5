//! Finds the cached reply to a question in other words, and decides whether it may be given.
//!
//! The method is vCache (Schroeder et al., "vCache: Verified Semantic Prompt Caching", arXiv 2502.03771): the probability
//! that the nearest entry's reply is right is a logistic function of the similarity, learned online from questions that
//! are answered anew (explored) although an entry was near; a reply is served only where a confidence bound on that
//! probability allows it. Nothing here reads a clock, draws a random number or waits.
//!
//! # What differs from the paper
//! - A neighbour counts only if [`differs`] finds no other fact in it.
//! - The paper learns each entry's curve from that entry's observations alone and needs at least six of them; most entries
//!   never get as many. Here one curve is learned from all entries together. An entry's own observations raise its risk
//!   above the curve's as soon as one of them was wrong (Bayes' rule), and put it below once they alone prove it (Clopper
//!   and Pearson).
//! - The paper serves any request, however hopeless, with such a probability that its error budget is used up. Here a
//!   reply is served only if its own risk is below a limit, never by lot.
//!
//! # What is bounded
//! `hit_error_bound` bounds the share of wrong replies among those served. `error_bound`, the delta of the paper, bounds
//! their share of all questions looked up, those without a neighbour included. The second follows from the first: if a
//! share `q` of all questions is served, each at a risk of at most `error_bound / q`, then of all questions at most
//! `error_bound` get a wrong reply. So the limit on one reply's risk is the smaller of `hit_error_bound` and
//! `error_bound / q`; `q` is measured.
//!
//! # What is proven, assumed and measured
//! Proven: both bounds hold in expectation if the risk that is computed for each reply is at least the true one. Assumed,
//! for that: the probability is logistic in the similarity, entries differ by a normally distributed offset, the labels are
//! right, and questions keep coming as they came. The curve's parameters are estimated; their uncertainty is in the risk,
//! with a confidence of 95 %. Measured, and free of these assumptions: a random share of what would be served is explored
//! instead (an audit). Once audits show an error above the limit nothing is served until
//! new audits show it below ([`SemanticIndex::measured_error`]).

mod audit;
mod binomial;
mod curve;
mod evidence;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use antiphon_core::{Error, Result};

use super::guards::differs;
use crate::Key;
pub use audit::ErrorEstimate;
use audit::{Audit, Share};
use curve::{Curve, Observation};
use store::Store;

/// How many nearest entries are checked for one that asks for the same facts: the neighbours of a question with a number in it are
/// often the same question with other numbers.
const CANDIDATES: usize = 8;
/// The lowest similarity of a neighbour: for texts farther apart it means little that the guards find the same facts.
const MIN_SIMILARITY: f32 = 0.8;

/// How a semantic index behaves.
#[derive(Clone, Copy, Debug)]
pub struct SemanticOptions {
    /// The share of all questions looked up that may get a wrong reply: 0.01. The delta of the paper.
    pub error_bound: f64,
    /// The share of replies served that may be wrong: 0.1. Labels set a floor: people contradict each other on a few
    /// percent of questions that differ in no fact, so that a bound below it is never seen to hold and nothing is served.
    pub hit_error_bound: f64,
    /// The share of replies which could be served that are explored instead, to measure the error: 0.02.
    pub audit_share: f64,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// The most entries of one scope; beyond that the oldest is dropped.
    pub max_scope_entries: usize,
    /// The most entries of all scopes; beyond that the oldest is dropped. 20,000 take 31 MB with vectors of 384 numbers.
    pub max_entries: usize,
}

impl Default for SemanticOptions {
    fn default() -> Self {
        Self {
            error_bound: 0.01,
            hit_error_bound: 0.1,
            audit_share: 0.02,
            dimensions: 384,
            max_scope_entries: 10_000,
            max_entries: 20_000,
        }
    }
}

/// The cached question nearest to one that is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbour {
    /// The key of its entry.
    pub key: Key,
    /// The question as it was asked.
    pub question: Arc<str>,
    /// The cosine of the angle between both vectors.
    pub similarity: f32,
}

/// The decision on a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its reply is given.
    Serve,
    /// The model is asked as if there were none; its answer is to be compared with the entry's,
    /// and the result reported with [`SemanticIndex::learn`].
    Explore,
    /// As [`Self::Explore`], for a reply that could have been served: this measures the error.
    Audit,
}

/// The index of cached questions by their vectors, with what was learned about serving their replies.
pub struct SemanticIndex {
    options: SemanticOptions,
    store: Store,
    curve: Curve,
    audit: Audit,
    served: Share,
    /// Questions looked up since the last decision.
    lookups: AtomicU64,
}

impl SemanticIndex {
    /// An empty index.
    ///
    /// # Errors
    /// `Invalid` if a share is not between 0 and 1 or there is room for nothing.
    pub fn new(options: SemanticOptions) -> Result<Self> {
        let shares = [options.error_bound, options.hit_error_bound, options.audit_share];
        if !shares.iter().all(|share| *share > 0.0 && *share < 1.0) {
            return Err(Error::invalid(
                "the bounds and the audit share of a semantic cache are between 0 and 1",
            ));
        }
        if options.dimensions == 0 || options.max_entries == 0 || options.max_scope_entries == 0 {
            return Err(Error::invalid(
                "a semantic cache needs vectors of some length and room for an entry",
            ));
        }
        Ok(Self {
            options,
            store: Store::new(options.dimensions),
            curve: Curve::default(),
            audit: Audit::default(),
            served: Share::default(),
            lookups: AtomicU64::new(0),
        })
    }

    /// Adds an entry. One with the same key is replaced, with all that was learned about it;
    /// the oldest is dropped if there is no room.
    ///
    /// # Errors
    /// `Invalid` if the vector has another length than the others, is zero or not finite.
    pub fn insert(&mut self, scope: Key, key: Key, question: &str, vector: &[f32]) -> Result<()> {
        let unit = self.store.unit(vector).ok_or_else(|| {
            Error::invalid(format!("not a vector of {} finite numbers", self.options.dimensions))
        })?;
        self.store.remove(&key);
        self.store.make_room(&scope, self.options.max_scope_entries, self.options.max_entries);
        self.store.insert(scope, key, question, &unit);
        Ok(())
    }

    /// Removes an entry; false if there was none.
    pub fn remove(&mut self, key: &Key) -> bool {
        self.store.remove(key)
    }

    /// Whether there is an entry in this scope.
    pub fn has(&self, scope: &Key) -> bool {
        self.store.has(scope)
    }

    /// Whether there is an entry with this key.
    pub fn contains(&self, key: &Key) -> bool {
        self.store.observations(key).is_some()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts a question that is looked up. To be called once for each, also for those without a neighbour.
    pub fn asked(&self) {
        self.lookups.fetch_add(1, Ordering::Relaxed);
    }

    /// The nearest entry of the scope that asks for the same facts. Takes time in proportion to the scope's entries.
    pub fn nearest(&self, scope: &Key, question: &str, vector: &[f32]) -> Option<Neighbour> {
        let unit = self.store.unit(vector)?;
        let near = self.store.nearest::<CANDIDATES>(scope, &unit, MIN_SIMILARITY);
        near.into_iter().find(|neighbour| differs(question, &neighbour.question).is_none())
    }

    /// Decides whether the neighbour's reply may be given. `random` is uniform in 0..1 and decides whether it is audited. An
    /// entry that is gone is explored.
    pub fn decide(&mut self, key: &Key, similarity: f32, random: f64) -> Decision {
        self.served.asked(self.lookups.swap(0, Ordering::Relaxed));
        let limit = self.limit();
        let Some(own) = self.store.observations(key) else { return Decision::Explore };
        if self.curve.risk(similarity, own) > limit {
            return Decision::Explore;
        }
        self.served.served();
        let audited = self.audit.halted() || random < self.options.audit_share;
        if audited { Decision::Audit } else { Decision::Serve }
    }

    /// Learns from an exploration: `correct` if the entry's reply would have been right, `decision` as it was decided.
    pub fn learn(&mut self, key: &Key, similarity: f32, decision: Decision, correct: bool) {
        if decision == Decision::Audit {
            self.audit.add(correct, self.limit());
        }
        if similarity.is_finite() {
            let observation = Observation { similarity, correct };
            self.curve.learn(observation);
            self.store.observe(key, observation);
        }
    }

    /// The error of the replies that would be served, as measured by recent audits.
    pub fn measured_error(&self) -> ErrorEstimate {
        self.audit.estimate()
    }

    /// Whether anything could be served: the reply of an identical question of whose entry nothing was observed.
    pub fn may_serve(&self) -> bool {
        self.curve.risk(1.0, &[]) <= self.limit()
    }

    /// Whether audits keep replies from being served.
    pub fn is_halted(&self) -> bool {
        self.audit.halted()
    }

    /// What was learned from all entries together, to be restored after a restart: at most 12 KB.
    pub fn evidence(&self) -> Vec<u8> {
        evidence::to_bytes(&self.curve, &self.audit)
    }

    /// Restores what [`evidence`](Self::evidence) gave; false, and nothing is changed, if the bytes are damaged or of
    /// another version.
    pub fn restore(&mut self, bytes: &[u8]) -> bool {
        let Some((curve, audit)) = evidence::from_bytes(bytes) else { return false };
        (self.curve, self.audit) = (curve, audit);
        true
    }

    /// The highest risk that a served reply may have.
    fn limit(&self) -> f64 {
        self.options.hit_error_bound.min(self.options.error_bound / self.served.share())
    }
}
