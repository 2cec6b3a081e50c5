//! Measures how long hits and writes take.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::cell::Cell;
use std::hint::black_box;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use antiphon_cache::{Cache, CacheOptions, Draft, Key, KeyBuilder, Kind, Selection};
use antiphon_core::Priority;
use bytes::Bytes;
use futures_util::FutureExt;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

const ENTRIES: u32 = 10_000;
/// The sizes of a typical reply and of a prompt, in bytes.
const BYTES: usize = 2_048;
const CALLS: usize = 1_000_000;
/// Calls measured: of those that take a microsecond, and of those that take a hundred.
const WRITES: usize = 100_000;
const SWEEPS: usize = 10_000;
/// Calls measured that clear the cache.
const REMOVED: usize = 5_000;
/// The first number of entries that were not put before.
const NEW: u32 = 1 << 31;
const BATCH: usize = 1_000;
const TENANT: &str = "bench";

/// The sorted times of a call in nanoseconds, from batches that were timed as a whole and from calls that were timed one by
/// one. The latter include the timer.
struct Figures {
    batches: Vec<u64>,
    each: Vec<u64>,
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
pub(crate) fn print() {
    let cache = filled();
    let mut keys: Vec<Key> = (0..ENTRIES).map(key).collect();
    keys.shuffle(&mut SmallRng::seed_from_u64(7));
    let key = |call: usize| &keys[call % keys.len()];
    let get_now = |call: usize| cache.get_now(TENANT, key(call)).is_some();
    let get = |call: usize| cache.get(TENANT, key(call)).now_or_never().flatten().is_some();
    let rows = [
        ("the timer alone", measure(CALLS, |_| true)),
        ("get_now", measure(CALLS, get_now)),
        ("get", measure(CALLS, get)),
        ("get_now, 2 threads", on_two_threads(get_now)),
        ("get_now while another puts", while_another_puts(&cache, get_now)),
        ("put that evicts another", puts(&cache)),
        ("sweep of 256 entries", sweeps(&cache)),
        ("remove", removes(&cache)),
    ];
    println!(
        "among 10,000 entries of 2 kB            mean     p50     p99   p99.9 ns, all but the mean with the timer"
    );
    for (name, Figures { batches, each }) in rows {
        let mean = batches[batches.len() / 2];
        let percentiles = [0.5, 0.99, 0.999].map(|share| each[(share * each.len() as f64) as usize]);
        let [p50, p99, p999] = percentiles;
        println!("  {name:<34} {mean:7} {p50:7} {p99:7} {p999:7}");
    }
    let prompt = vec![b'a'; BYTES];
    let building = measure(CALLS, |_| {
        let mut builder = KeyBuilder::new(Kind::Reply, TENANT);
        black_box(builder.add("model").add(black_box(&prompt)).build());
        true
    });
    println!("the key of a prompt of 2 kB: {} ns", building.batches[CALLS / BATCH / 2]);
}

fn key(number: u32) -> Key {
    KeyBuilder::new(Kind::Reply, TENANT).add(number.to_le_bytes()).build()
}

/// A full cache with the system's clock, whose entries were all used.
fn filled() -> Cache {
    let max_bytes = ENTRIES as usize * BYTES * 3 / 2;
    let options = CacheOptions { kind: Kind::Reply, max_bytes, ttl: Duration::from_hours(1) };
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let cache = Cache::new(options, Vec::new(), Arc::new(clock));
    let tenant = TENANT.into();
    for number in 0..ENTRIES {
        put(&cache, &tenant, number);
        for _ in 0..3 {
            assert!(cache.get_now(TENANT, &key(number)).is_some(), "{number} was just put");
        }
    }
    cache
}

fn put(cache: &Cache, tenant: &Arc<str>, number: u32) {
    static VALUE: [u8; BYTES] = [0; BYTES];
    cache.put(Draft {
        key: key(number),
        tenant: tenant.clone(),
        label: String::new(),
        value: Bytes::from_static(&VALUE),
        cost: Duration::from_millis(500),
        priority: Priority::LiveTurn,
    });
}

/// The times of `calls` calls in batches and as many one by one. `call` returns whether it was a hit.
fn measure(calls: usize, call: impl Fn(usize) -> bool) -> Figures {
    let mut hits = 0;
    let mut timed = |calls: Range<usize>| {
        let (began, length) = (Instant::now(), calls.len() as u64);
        hits += calls.filter(|number| black_box(call(*number))).count();
        began.elapsed().as_nanos() as u64 / length
    };
    let mut batches: Vec<u64> = (0..calls).step_by(BATCH).map(|first| timed(first..first + BATCH)).collect();
    let mut each: Vec<u64> = (0..calls).map(|number| timed(number..number + 1)).collect();
    assert!(hits > calls * 2 * 99 / 100, "only {hits} of {} calls hit", calls * 2);
    batches.sort_unstable();
    each.sort_unstable();
    Figures { batches, each }
}

/// The times of two threads that read the same keys.
fn on_two_threads(call: impl Fn(usize) -> bool + Copy + Send + Sync) -> Figures {
    let barrier = Barrier::new(2);
    let run = || {
        barrier.wait();
        measure(CALLS, call)
    };
    let [one, mut two] =
        thread::scope(|scope| [scope.spawn(run), scope.spawn(run)].map(thread::ScopedJoinHandle::join))
            .map(|figures| figures.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    two.batches.extend(one.batches);
    two.batches.sort_unstable();
    two.each.extend(one.each);
    two.each.sort_unstable();
    two
}

/// The times of hits while another thread puts entries as fast as it can.
fn while_another_puts(cache: &Cache, call: impl Fn(usize) -> bool) -> Figures {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let tenant = TENANT.into();
            for number in (ENTRIES..).take_while(|_| !done.load(Ordering::Relaxed)) {
                put(cache, &tenant, number);
            }
        });
        let figures = measure(CALLS, call);
        done.store(true, Ordering::Relaxed);
        figures
    })
}

/// The times of putting new entries, each of which evicts one.
fn puts(cache: &Cache) -> Figures {
    let (tenant, new, evicted) = (TENANT.into(), Cell::new(NEW), cache.evicted());
    let figures = measure(WRITES, |_| {
        put(cache, &tenant, new.replace(new.get() + 1));
        true
    });
    assert!(cache.evicted() - evicted >= 2 * WRITES as u64, "there was room");
    figures
}

/// The times of sweeping entries of which none has expired.
fn sweeps(cache: &Cache) -> Figures {
    measure(SWEEPS, |_| {
        cache.sweep();
        true
    })
}

/// The times of removing one key at a time.
fn removes(cache: &Cache) -> Figures {
    let keys: Vec<Key> =
        cache.list(&Selection::default(), usize::MAX).iter().map(|entry| entry.key).collect();
    let removed = Cell::new(0);
    let figures = measure(REMOVED, |_| {
        let at = removed.replace(removed.get() + 1);
        cache.remove(vec![keys[at]]).now_or_never().is_some()
    });
    assert_eq!(cache.usage().entries, (keys.len() - 2 * REMOVED) as u64, "each removed one");
    figures
}
