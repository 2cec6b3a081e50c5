//! The items that wait for a batch or are in one. It reads no clock and needs no runtime: time is an argument.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use antiphon_core::{Priority, Result};
use tokio::sync::oneshot;

use super::Operation;

/// The sender of an answer to one caller.
pub(super) type Caller<O> = oneshot::Sender<Result<<O as Operation>::Output>>;

/// An item that arrives.
pub(super) struct Request<O: Operation> {
    pub(super) item: O::Item,
    pub(super) key: Option<O::Key>,
    pub(super) group: u64,
    pub(super) priority: Priority,
    pub(super) answer: Caller<O>,
}

/// What became of a request that was let in.
pub(super) struct Entered {
    pub(super) entry: u64,
    /// It joined an entry that asks the same.
    pub(super) shared: bool,
}

/// Items that are served by one call.
pub(super) struct Batch<O: Operation> {
    pub(super) run: u64,
    pub(super) items: Vec<O::Item>,
    /// The priority of the most urgent item.
    pub(super) priority: Priority,
    /// How long each item has waited.
    pub(super) waited: Vec<Duration>,
    /// Closed when nobody waits for any of the items any more.
    pub(super) abandoned: oneshot::Receiver<()>,
}

pub(super) struct Queue<O: Operation> {
    entries: HashMap<u64, Entry<O>>,
    /// The entries that wait, as due time and number; the most urgent first.
    order: BTreeSet<(Duration, u64)>,
    /// Entries that others may join.
    keys: HashMap<O::Key, u64>,
    runs: HashMap<u64, BatchRun>,
    sequence: u64,
}

impl<O: Operation> Default for Queue<O> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeSet::new(),
            keys: HashMap::new(),
            runs: HashMap::new(),
            sequence: 0,
        }
    }
}

struct Entry<O: Operation> {
    key: Option<O::Key>,
    callers: Vec<Caller<O>>,
    progress: Progress<O::Item>,
}

enum Progress<I> {
    Waiting(Waiting<I>),
    Running(u64),
}

struct Waiting<I> {
    item: I,
    group: u64,
    priority: Priority,
    due: Duration,
    since: Duration,
}

/// A batch that runs.
struct BatchRun {
    entries: Vec<u64>,
    /// Dropped to cancel the run.
    abandon: Option<oneshot::Sender<()>>,
}

impl<O: Operation> Queue<O> {
    /// How many items wait for a batch.
    pub(super) fn waiting(&self) -> usize {
        self.order.len()
    }

    /// How many batches run at the moment.
    pub(super) fn running(&self) -> usize {
        self.runs.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.order.is_empty() && self.runs.is_empty()
    }

    /// Lets a request in. If the queue is `full` and no entry asks the same, its caller is given back instead.
    pub(super) fn enter(
        &mut self,
        request: Request<O>,
        now: Duration,
        full: bool,
    ) -> Result<Entered, Caller<O>> {
        let due = now + request.priority.patience();
        if let Some(&id) = request.key.as_ref().and_then(|key| self.keys.get(key))
            && let Some(entry) = self.entries.get_mut(&id)
        {
            entry.callers.push(request.answer);
            if let Progress::Waiting(waiting) = &mut entry.progress {
                waiting.priority = waiting.priority.min(request.priority);
                if due < waiting.due {
                    self.order.remove(&(waiting.due, id));
                    self.order.insert((due, id));
                    waiting.due = due;
                }
            }
            return Ok(Entered { entry: id, shared: true });
        }
        if full {
            return Err(request.answer);
        }
        let id = self.number();
        if let Some(key) = &request.key {
            self.keys.insert(key.clone(), id);
        }
        self.order.insert((due, id));
        let Request { item, key, group, priority, answer } = request;
        let waiting = Waiting { item, group, priority, due, since: now };
        let entry = Entry { key, callers: vec![answer], progress: Progress::Waiting(waiting) };
        self.entries.insert(id, entry);
        Ok(Entered { entry: id, shared: false })
    }

    /// A caller of the entry has closed its end. True if it was the last one: then the item is not served, or its answer
    /// not used.
    pub(super) fn leave(&mut self, id: u64) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        entry.callers.retain(|caller| !caller.is_closed());
        if !entry.callers.is_empty() {
            return false;
        }
        // Nobody may join it any more, since it may be cancelled at any time: who asks the same from now on gets a new entry.
        let key = entry.key.take();
        match &entry.progress {
            Progress::Waiting(waiting) => {
                self.order.remove(&(waiting.due, id));
                self.entries.remove(&id);
            }
            Progress::Running(run) => {
                let run = *run;
                self.abandon_unwanted(run);
            }
        }
        self.forget(key, id);
        true
    }

    /// The most urgent item and at most `most` of its group, the most urgent first. While a batch runs, none that is
    /// smaller starts before one of its items has waited for `window`.
    pub(super) fn take(&mut self, most: usize, now: Duration, window: Duration) -> Option<Batch<O>> {
        let head = self.head(most, now, window)?;
        let group = self.waits(head)?.group;
        let mut members = vec![head];
        members.extend(self.members(group).filter(|id| *id != head).take(most.max(1) - 1));
        let (abandon, abandoned) = oneshot::channel();
        let run = self.number();
        let (mut items, mut waited, mut priority) = (Vec::new(), Vec::new(), Priority::Batch);
        for id in &members {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            if let Progress::Waiting(waiting) = std::mem::replace(&mut entry.progress, Progress::Running(run))
            {
                self.order.remove(&(waiting.due, *id));
                priority = priority.min(waiting.priority);
                waited.push(now.saturating_sub(waiting.since));
                items.push(waiting.item);
            }
        }
        self.runs.insert(run, BatchRun { entries: members, abandon: Some(abandon) });
        Some(Batch { run, items, priority, waited, abandoned })
    }

    /// Ends a run; gives the callers of each of its items, in order, or nothing if it had ended before.
    pub(super) fn finish(&mut self, run: u64) -> Vec<Vec<Caller<O>>> {
        let Some(run) = self.runs.remove(&run) else { return Vec::new() };
        let mut waiting = Vec::with_capacity(run.entries.len());
        for id in run.entries {
            let Some(entry) = self.entries.remove(&id) else { continue };
            self.forget(entry.key, id);
            waiting.push(entry.callers);
        }
        waiting
    }

    /// Cancels the run if nobody waits for any of it.
    fn abandon_unwanted(&mut self, run: u64) {
        let Some(run) = self.runs.get_mut(&run) else { return };
        let unwanted = |id: &u64| self.entries.get(id).is_none_or(|entry| entry.callers.is_empty());
        if run.entries.iter().all(unwanted) {
            run.abandon = None;
        }
    }

    /// The item that decides which batch starts now, if any does.
    fn head(&self, most: usize, now: Duration, window: Duration) -> Option<u64> {
        let first = self.order.first()?.1;
        if self.runs.is_empty() || window.is_zero() {
            return Some(first);
        }
        let patient = |id: &u64| self.waits(*id).is_some_and(|w| now.saturating_sub(w.since) < window);
        let impatient = self.order.iter().map(|(_, id)| *id).find(|id| !patient(id));
        impatient.or_else(|| {
            let group = self.waits(first)?.group;
            (self.members(group).take(most).count() >= most).then_some(first)
        })
    }

    fn members(&self, group: u64) -> impl Iterator<Item = u64> {
        let same = move |id: &u64| self.waits(*id).is_some_and(|waiting| waiting.group == group);
        self.order.iter().map(|(_, id)| *id).filter(same)
    }

    fn waits(&self, id: u64) -> Option<&Waiting<O::Item>> {
        match &self.entries.get(&id)?.progress {
            Progress::Waiting(waiting) => Some(waiting),
            Progress::Running(_) => None,
        }
    }

    /// Removes the key of an entry, unless it belongs to a later entry by now.
    fn forget(&mut self, key: Option<O::Key>, id: u64) {
        if let Some(key) = key
            && self.keys.get(&key) == Some(&id)
        {
            self.keys.remove(&key);
        }
    }

    fn number(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}
