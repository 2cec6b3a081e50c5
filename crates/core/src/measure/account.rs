//! For whom and for what a thread works just now: so that time and money can be charged to calls, and a profiler's
//! samples attributed to calls and components.
//!
//! A thread carries a tag; whoever hands work to another thread takes the call's account along.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Components whose work can be told apart: several times as many as a server has. Those beyond it have no name.
const MAX_COMPONENTS: usize = 64;

/// The names of the components that work, each set once. A component's number is its place, counted from 1.
static NAMES: [OnceLock<&'static str>; MAX_COMPONENTS] = [const { OnceLock::new() }; MAX_COMPONENTS];

/// What one call has used.
#[derive(Debug)]
pub struct Account {
    number: u32,
    /// How long the call has kept processors busy, in nanoseconds.
    busy: AtomicU64,
    /// What engines of speech were sent, counted in each [`SpeechUnit`].
    sent: [AtomicU64; 2],
    /// Millionths of the currency.
    cost: AtomicU64,
}

/// What those who sell speech count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeechUnit {
    /// 16 kHz samples of audio that is transcribed.
    Sample,
    /// Characters of text that is spoken: Unicode scalar values.
    Character,
}

impl Account {
    /// The account of a new call, on which nothing was used yet.
    pub fn open() -> Arc<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Arc::new(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            busy: AtomicU64::new(0),
            sent: [const { AtomicU64::new(0) }; 2],
            cost: AtomicU64::new(0),
        })
    }

    /// Stands for the call in a [`Tag`]; never 0, and unique among some 4 billion calls.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// A thread worked for the call this long.
    pub fn charge(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.busy.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How long threads have worked for the call: nearly its CPU time, as long as there are cores enough.
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy.load(Ordering::Relaxed))
    }

    /// An engine was sent this for the call, at a cost in millionths of the currency.
    pub fn bill(&self, unit: SpeechUnit, amount: u64, micros: u64) {
        self.sent[unit as usize].fetch_add(amount, Ordering::Relaxed);
        self.cost.fetch_add(micros, Ordering::Relaxed);
    }

    /// How much engines were sent for the call.
    pub fn sent(&self, unit: SpeechUnit) -> u64 {
        self.sent[unit as usize].load(Ordering::Relaxed)
    }

    /// What that cost, in millionths of the currency.
    pub fn cost_micros(&self) -> u64 {
        self.cost.load(Ordering::Relaxed)
    }
}

/// For whom and for what a thread works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tag {
    /// [`Account::number`]; 0: for no call.
    pub call: u32,
    /// The component; 0: not told.
    component: u32,
}

impl Tag {
    /// The component's name, if told.
    pub fn component(self) -> Option<&'static str> {
        NAMES.get((self.component as usize).checked_sub(1)?)?.get().copied()
    }
}

thread_local! {
    /// Without a destructor, so that a signal handler may read it at any time. One that comes between the writing of
    /// its halves sees a call with the component before: a sample astray, nothing worse.
    static TAG: Cell<Tag> = const { Cell::new(Tag { call: 0, component: 0 }) };
    static ACCOUNT: RefCell<Option<Arc<Account>>> = const { RefCell::new(None) };
}

/// What this thread works on. Safe to ask in a signal handler.
pub fn tag() -> Tag {
    TAG.get()
}

/// The account of the call for which this thread works.
pub fn current() -> Option<Arc<Account>> {
    ACCOUNT.with_borrow(Option::clone)
}

/// A component that does work of its own.
#[derive(Clone, Copy, Debug)]
pub struct Worker(u32);

impl Worker {
    /// Looks up the name, or claims the first free place for it. Do it once, not for each piece of work.
    pub fn new(component: &'static str) -> Self {
        let place = NAMES.iter().position(|name| *name.get_or_init(|| component) == component);
        Self(place.map_or(0, |at| at as u32 + 1))
    }

    /// From now on this thread does the component's work, until the guard is dropped.
    pub fn begin(self) -> Working {
        let before = TAG.get();
        TAG.set(Tag { component: self.0, ..before });
        Working { before, account: ACCOUNT.with_borrow(Option::clone) }
    }

    /// The same, for a call.
    pub fn begin_for(self, account: Option<Arc<Account>>) -> Working {
        let before = TAG.get();
        TAG.set(Tag { component: self.0, call: account.as_ref().map_or(0, |account| account.number) });
        Working { before, account: ACCOUNT.replace(account) }
    }
}

/// While it lives, the thread works on something.
#[must_use]
pub struct Working {
    before: Tag,
    account: Option<Arc<Account>>,
}

impl Drop for Working {
    fn drop(&mut self) {
        TAG.set(self.before);
        ACCOUNT.set(self.account.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_works_for_one_call_at_a_time_and_returns_to_the_one_before() {
        let (session, model) = (Worker::new("session"), Worker::new("model"));
        let call = Account::open();
        assert_eq!(tag(), Tag::default());
        {
            let _session = session.begin_for(Some(Arc::clone(&call)));
            assert_eq!((tag().call, tag().component()), (call.number(), Some("session")));
            {
                let _model = model.begin();
                assert_eq!((tag().call, tag().component()), (call.number(), Some("model")));
                let taken = current().expect("an account");
                taken.charge(Duration::from_millis(3));
            }
            assert_eq!(tag().component(), Some("session"));
            {
                let _nobody = model.begin_for(None);
                assert_eq!(tag().call, 0);
                assert!(current().is_none());
            }
            assert!(current().is_some());
        }
        assert_eq!((tag(), call.busy()), (Tag::default(), Duration::from_millis(3)));
        assert_eq!(Worker::new("model").0, model.0, "names are kept once");
    }

    #[test]
    fn what_was_sent_is_billed_by_its_unit_and_its_cost_is_one_sum() {
        let call = Account::open();
        call.bill(SpeechUnit::Sample, 320, 2);
        call.bill(SpeechUnit::Character, 12, 180);
        call.bill(SpeechUnit::Sample, 320, 3);
        let sent = [SpeechUnit::Sample, SpeechUnit::Character].map(|unit| call.sent(unit));
        assert_eq!((sent, call.cost_micros()), ([640, 12], 185));
    }
}
