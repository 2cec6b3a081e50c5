//! What an entry takes in memory beside its value and its label, as the system sees it.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::Priority;
use antiphon_flow::cache::{Cache, CacheOptions, Draft, Entry, KeyBuilder, Kind};
use bytes::Bytes;

/// Tables of a power of two are three quarters full with the one, and a little more than half with the other.
const ENTRIES: [u32; 2] = [95_000, 125_000];
const VALUE: usize = 1_024;
const LABEL: &str = "What time do you open tomorrow?";
const TENANT: &str = "bench";

/// To be called first: memory that was freed before would be used again, and not be seen.
#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
pub(crate) fn print() {
    // Kept to the end, for the same reason.
    let mut caches = Vec::new();
    println!("bytes an entry takes, beside value and label   measured  counted");
    for (name, fill) in [
        ("put", put as fn(&Cache, u32)),
        ("put, each for another one", put_twice),
        ("read from a layer", read),
    ] {
        for entries in ENTRIES {
            let Some(before) = resident_bytes() else { return };
            let cache = cache(entries);
            fill(&cache, entries);
            let Some(after) = resident_bytes() else { return };
            let usage = cache.usage();
            let [measured, counted] = [after - before, usage.bytes].map(|bytes| bytes / usage.entries);
            let beside = (VALUE + LABEL.len()) as u64;
            println!("  {name:<30} {entries:>9} {:>10} {:>9}", measured - beside, counted - beside);
            caches.push(cache);
        }
    }
    println!();
}

/// Room for so many entries.
fn cache(entries: u32) -> Cache {
    let size = entry(0).size();
    let options =
        CacheOptions { kind: Kind::Reply, max_bytes: size * entries as usize, ttl: Duration::from_hours(1) };
    Cache::new(options, Vec::new(), Arc::new(|| 0))
}

fn put(cache: &Cache, entries: u32) {
    put_from(cache, 0, entries);
}

/// Of the first half ghosts stay.
fn put_twice(cache: &Cache, entries: u32) {
    put_from(cache, 0, entries);
    put_from(cache, entries, entries);
    assert_eq!(cache.evicted(), u64::from(entries), "each for another one");
}

fn put_from(cache: &Cache, first: u32, entries: u32) {
    let tenant: Arc<str> = TENANT.into();
    for number in first..first + entries {
        let Entry { key, value, cost, .. } = entry(number);
        let (tenant, label) = (tenant.clone(), LABEL.to_owned());
        cache.put(Draft { key, tenant, label, value, cost, priority: Priority::LiveTurn });
    }
}

fn read(cache: &Cache, entries: u32) {
    for number in 0..entries {
        let read = Entry::from_bytes(&entry(number).to_bytes().into());
        read.into_iter().for_each(|entry| cache.admit(Arc::new(entry)));
    }
}

fn entry(number: u32) -> Entry {
    Entry {
        kind: Kind::Reply,
        key: KeyBuilder::new(Kind::Reply, TENANT).add(number.to_le_bytes()).build(),
        tenant: TENANT.into(),
        label: LABEL.into(),
        value: Bytes::from(vec![1; VALUE]),
        made_ms: 0,
        expires_ms: u64::MAX,
        cost: Duration::ZERO,
        ahead: false,
    }
}

/// What of the process is in memory; only Linux tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1_024)
}
