//! Measures the memory of an entry beside its value and its label, as the operating system sees it.

use std::env;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use antiphon_cache::{Cache, CacheOptions, Draft, Entry, KeyBuilder, Kind};
use antiphon_core::Priority;
use bytes::Bytes;

/// Two numbers of entries: hash tables are three quarters full with the first, and a little more than half with the second.
const ENTRIES: [u32; 2] = [95_000, 125_000];
const VALUE: usize = 1_024;
const LABEL: &str = "What time do you open tomorrow?";
const TENANT: &str = "a tenant of somebody";
/// The argument with which this program measures one of [`WAYS`].
const MEASURE: &str = "footprint";

/// The ways in which a cache is filled; the second one leaves ghosts.
const WAYS: [(&str, Fill); 3] =
    [("put", put), ("put, each for another one", put_twice), ("read from a layer, the same", read_twice)];

type Fill = fn(&Cache, u32);

/// Measures each way in a process of its own, because memory that was freed before would be used again and not be counted.
#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
pub(crate) fn print() {
    println!("bytes an entry takes, beside value and label  measured  counted");
    for way in 0..WAYS.len() {
        for entries in ENTRIES {
            let Ok(program) = env::current_exe() else { return };
            let measured =
                Command::new(program).args([MEASURE, &way.to_string(), &entries.to_string()]).status();
            assert!(measured.is_ok_and(|status| status.success()), "{MEASURE} {way} {entries} does not work");
        }
    }
    println!();
}

/// Measures, if this process is one of those; true if it is.
pub(crate) fn is_asked_for() -> bool {
    let arguments: Vec<String> = env::args().collect();
    let [_, measure, way, entries] = &arguments[..] else { return false };
    let (Ok(way), Ok(entries)) = (way.parse::<usize>(), entries.parse()) else { return false };
    if measure == MEASURE && way < WAYS.len() {
        measure_one(WAYS[way], entries);
        return true;
    }
    false
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn measure_one((name, fill): (&str, Fill), entries: u32) {
    let cache = cache(entries);
    let Some(before) = resident_bytes() else { return };
    fill(&cache, entries);
    let Some(after) = resident_bytes() else { return };
    let usage = cache.usage();
    let beside = (VALUE + LABEL.len()) as u64;
    let [measured, counted] = [after - before, usage.bytes].map(|bytes| bytes / usage.entries - beside);
    println!("  {name:<30} {entries:>9} {measured:>10} {counted:>9}");
}

/// A cache with room for this many entries.
fn cache(entries: u32) -> Cache {
    let max_bytes = entry(0).size() * entries as usize;
    let options = CacheOptions { kind: Kind::Reply, max_bytes, ttl: Duration::from_hours(1) };
    Cache::new(options, Vec::new(), Arc::new(|| 0))
}

fn put(cache: &Cache, entries: u32) {
    let tenant: Arc<str> = TENANT.into();
    for number in 0..entries {
        let Entry { key, value, cost, .. } = entry(number);
        let (tenant, label) = (tenant.clone(), LABEL.to_owned());
        cache.put(Draft { key, tenant, label, value, cost, priority: Priority::LiveTurn });
    }
}

/// Fills it twice, so that the first half is evicted.
fn put_twice(cache: &Cache, entries: u32) {
    put(cache, 2 * entries);
    assert_eq!(cache.evicted(), u64::from(entries), "each for another one");
}

fn read_twice(cache: &Cache, entries: u32) {
    for number in 0..2 * entries {
        if let Some(read) = Entry::from_bytes(&entry(number).to_bytes().into()) {
            cache.admit(Arc::new(read));
        }
    }
    assert_eq!(cache.evicted(), u64::from(entries), "each for another one");
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
        prefetched: false,
    }
}

/// The resident memory of the process, which only Linux reports.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1_024)
}
