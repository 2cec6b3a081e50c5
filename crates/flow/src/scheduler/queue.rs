//! The queue of one engine, as a state machine: time is an argument.
//!
//! The most urgent request goes first. No request of a priority starts while the share of the limit that this priority may use
//! is in use already, by requests of any priority. So a place for a live turn is nearly always free, however many others wait:
//! a running request is not interrupted, and a live turn that had to wait for one would be late. A request that has waited for
//! long goes first, as long as few of its priority are in flight, so that nothing starves.
//!
//! Among requests of one priority, the next is of whoever has the fewest in flight, and then of whoever was served least often
//! since the queue began (start-time fair queueing: Goyal, Vin and Cheng, 1996): somebody who sends a hundred requests at once
//! delays others by as much as somebody who sends one.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use antiphon_core::{Priority, Share};
use tokio::time::Instant;

/// Requests that may wait for one engine: at 100 in flight, each of 2 s, this is 20 s of work.
pub(crate) const CAPACITY: usize = 1_024;
/// Of these, how many may be one caller's.
pub(crate) const CAPACITY_EACH: usize = CAPACITY / 4;
/// The share of the limit that overdue requests get ahead of more urgent ones.
const OVERDUE: f64 = 0.1;

/// A priority, with the rules for its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class(Priority);

impl Class {
    /// The most urgent first.
    pub(crate) const ALL: [Self; 5] = [
        Self(Priority::LiveTurn),
        Self(Priority::Speculation),
        Self(Priority::Interactive),
        Self(Priority::Extraction),
        Self(Priority::Batch),
    ];

    pub(crate) fn of(priority: Priority) -> Self {
        Self(priority)
    }

    pub(crate) fn priority(self) -> Priority {
        self.0
    }

    /// The name in the API.
    pub(crate) fn label(self) -> &'static str {
        match self.0 {
            Priority::LiveTurn => "live_turn",
            Priority::Speculation => "speculation",
            Priority::Interactive => "interactive",
            Priority::Extraction => "extraction",
            Priority::Batch => "batch",
        }
    }

    /// The share of the limit up to which requests of this priority are started. The least urgent leave half of it free. Where
    /// that half is ten places and live turns keep five of them busy on average, they find all taken in 2 % of cases (Erlang's
    /// loss formula).
    pub(crate) fn share(self) -> f64 {
        match self.0 {
            Priority::LiveTurn => 1.0,
            Priority::Speculation => 0.9,
            Priority::Interactive => 0.8,
            Priority::Extraction => 0.6,
            Priority::Batch => 0.5,
        }
    }

    /// After this wait a request is refused. Somebody who waits in silence is better served by another engine or an apology, a
    /// speculation is stale by then, a screen can show an error, and the rest must only not pile up for ever.
    pub(crate) fn longest_wait(self) -> Duration {
        match self.0 {
            Priority::LiveTurn => Duration::from_secs(2),
            Priority::Speculation => Duration::from_secs(1),
            Priority::Interactive => Duration::from_secs(10),
            Priority::Extraction => Duration::from_mins(1),
            Priority::Batch => Duration::from_mins(10),
        }
    }

    /// After this wait a request counts as overdue and goes before more urgent ones. `None` for live turns:
    /// nothing is more urgent.
    fn patience(self) -> Option<Duration> {
        (self.0 != Priority::LiveTurn).then(|| self.0.patience())
    }

    fn index(self) -> usize {
        self.0 as usize
    }

    /// Places that may be in use after a request of this priority was started: at least one, or it would never be served.
    fn places(self, limit: usize) -> usize {
        ((self.share() * limit as f64) as usize).max(1)
    }
}

/// What waits and what is in flight, by priority.
pub(super) struct Queue<W> {
    /// One map for each priority, by order of arrival.
    waiting: [BTreeMap<u64, Place<W>>; 5],
    in_flight: [usize; 5],
    /// The same by whose they are; whoever has none is not in it.
    in_flight_of: HashMap<Share, usize>,
    /// The round in which the latest waiting request of each share is served, while any waits.
    rounds: HashMap<Share, u64>,
    /// The round that is served now.
    round: u64,
    arrivals: u64,
}

struct Place<W> {
    since: Instant,
    share: Share,
    /// The round in which it is served: of each share one request.
    round: u64,
    waiter: W,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Self {
            waiting: Default::default(),
            in_flight: [0; 5],
            in_flight_of: HashMap::new(),
            rounds: HashMap::new(),
            round: 0,
            arrivals: 0,
        }
    }
}

impl<W> Queue<W> {
    pub(super) fn waiting(&self, class: Class) -> usize {
        self.waiting[class.index()].len()
    }

    /// For how long the first of those that wait has waited.
    pub(super) fn longest_wait(&self, class: Class, now: Instant) -> Duration {
        let first = self.waiting[class.index()].values().next();
        first.map_or(Duration::ZERO, |first| now - first.since)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight_from(Class(Priority::LiveTurn))
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= CAPACITY
    }

    /// Whether as many requests of one caller wait as may. The server's own work is bounded by the queue alone.
    pub(super) fn is_full_for(&self, share: &Share) -> bool {
        let of_share =
            || self.waiting.iter().flat_map(BTreeMap::values).filter(|place| place.share == *share);
        *share != Share::Server && self.len() >= CAPACITY_EACH && of_share().count() >= CAPACITY_EACH
    }

    fn len(&self) -> usize {
        self.waiting.iter().map(BTreeMap::len).sum()
    }

    /// Whether a request that comes now may start at once: there is a place for it, and no request as urgent waits.
    pub(super) fn is_next(&self, class: Class, limit: usize) -> bool {
        let nobody = self.waiting[..=class.index()].iter().all(BTreeMap::is_empty);
        nobody && self.has_place(class, limit)
    }

    /// Adds a request; gives the key to [`Self::remove`] it.
    pub(super) fn push(&mut self, class: Class, share: Share, since: Instant, waiter: W) -> u64 {
        self.arrivals += 1;
        if self.len() == 0 {
            self.rounds.clear();
            self.round = 0;
        }
        let latest = self.rounds.entry(share.clone()).or_default();
        *latest = (*latest).max(self.round) + 1;
        let round = *latest;
        self.waiting[class.index()].insert(self.arrivals, Place { since, share, round, waiter });
        self.arrivals
    }

    /// Removes a request; `None` when it is no longer there.
    pub(super) fn remove(&mut self, class: Class, key: u64) -> Option<W> {
        self.waiting[class.index()].remove(&key).map(|place| place.waiter)
    }

    /// Takes out the latest of the least urgent, if `class` is more urgent than that.
    pub(super) fn displace(&mut self, class: Class) -> Option<W> {
        let less_urgent = self.waiting[class.index() + 1..].iter_mut().rev();
        let mut latest = less_urgent.filter_map(BTreeMap::pop_last);
        latest.next().map(|(_, place)| place.waiter)
    }

    /// Takes out a request that may start now, of those classes that are `open`.
    pub(super) fn next(
        &mut self,
        limit: usize,
        now: Instant,
        open: impl Fn(Class) -> bool,
    ) -> Option<(Class, Share, W)> {
        if self.in_flight() >= limit {
            return None;
        }
        let waits = |class: &Class| self.waiting(*class) > 0 && open(*class);
        let overdue = Class::ALL.into_iter().filter(waits).filter_map(|class| {
            let few = self.in_flight_from(class) < ((OVERDUE * limit as f64) as usize).max(1);
            let due = self.waiting[class.index()].values().next()?.since + class.patience()?;
            (few && due <= now).then_some((due, class))
        });
        let urgent = || Class::ALL.into_iter().find(|class| waits(class) && self.has_place(*class, limit));
        let class = overdue.min().map(|(_, class)| class).or_else(urgent)?;
        let waiting = &self.waiting[class.index()];
        let order = |key: u64, place: &Place<W>| (self.in_flight_of(&place.share), place.round, key);
        let key = *waiting.iter().min_by_key(|(key, place)| order(**key, place))?.0;
        let place = self.waiting[class.index()].remove(&key)?;
        self.round = self.round.max(place.round);
        Some((class, place.share, place.waiter))
    }

    /// Counts a request as in flight; gives how many are.
    pub(super) fn start(&mut self, class: Class, share: &Share) -> usize {
        self.in_flight[class.index()] += 1;
        *self.in_flight_of.entry(share.clone()).or_default() += 1;
        self.in_flight()
    }

    pub(super) fn finish(&mut self, class: Class, share: &Share) {
        self.in_flight[class.index()] -= 1;
        if let Some(of) = self.in_flight_of.get_mut(share) {
            *of -= 1;
            if *of == 0 {
                self.in_flight_of.remove(share);
            }
        }
    }

    fn in_flight_of(&self, share: &Share) -> usize {
        self.in_flight_of.get(share).copied().unwrap_or(0)
    }

    fn has_place(&self, class: Class, limit: usize) -> bool {
        self.in_flight() < class.places(limit)
    }

    /// In flight of this class and all less urgent ones.
    fn in_flight_from(&self, class: Class) -> usize {
        self.in_flight[class.index()..].iter().sum()
    }
}
