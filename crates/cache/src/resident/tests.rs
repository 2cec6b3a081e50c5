use std::collections::HashMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{KeyBuilder, Kind};

/// What an entry takes without a value.
const BARE: usize = OVERHEAD;

fn key(number: u32) -> Key {
    KeyBuilder::new(Kind::Reply, "a").add(number.to_le_bytes()).build()
}

/// An entry that expires at the millisecond that its number says.
fn entry(number: u32, size: usize) -> Arc<Entry> {
    let tenant = if number.is_multiple_of(2) { "even" } else { "odd" };
    Arc::new(Entry {
        kind: Kind::Reply,
        key: key(number),
        tenant: tenant.into(),
        label: "".into(),
        value: vec![0; size - BARE].into(),
        made_ms: 0,
        expires_ms: u64::from(number),
        cost: Duration::ZERO,
        prefetched: false,
    })
}

/// A store filled with this many entries without a value.
fn filled(entries: u32) -> Resident {
    let resident = Resident::new(BARE * entries as usize);
    assert!((0..entries).all(|number| resident.put(entry(number, BARE))));
    resident
}

fn tenant(name: &str) -> Selection {
    Selection { tenant: Some(name.into()), ..Selection::default() }
}

/// Checks that the tables, the policy and the usage agree and that the bound is kept.
fn check(resident: &Resident) {
    let listed = resident.list(&Selection::default(), usize::MAX);
    let bytes = listed.iter().map(|entry| entry.size() as u64).sum();
    assert_eq!(resident.usage(), Usage { entries: listed.len() as u64, bytes });
    assert!(bytes <= resident.max_bytes() as u64);
    assert_eq!(resident.shards.iter().map(|shard| shard.read().len()).sum::<usize>(), listed.len());
    for entry in listed {
        assert!(resident.get(&entry.key).is_some_and(|found| Arc::ptr_eq(&found, &entry)));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Get(u32),
    Put(u32, usize),
    Remove(u32),
    Sweep(u32, usize),
    Clear(bool),
    SetMaxBytes(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        50 => (0..50_u32).prop_map(Step::Get),
        50 => (0..50_u32, BARE..3 * BARE).prop_map(|(number, size)| Step::Put(number, size)),
        5 => (0..50_u32).prop_map(Step::Remove),
        3 => (0..50_u32, 0..20_usize).prop_map(|(now, most)| Step::Sweep(now, most)),
        1 => any::<bool>().prop_map(Step::Clear),
        1 => (0..20 * BARE).prop_map(Step::SetMaxBytes),
    ];
    vec(step, 0..200)
}

proptest! {
    #[test]
    fn what_is_found_is_what_was_put_last(max_bytes in 0..20 * BARE, steps in steps()) {
        let resident = Resident::new(max_bytes);
        let mut put: HashMap<u32, Arc<Entry>> = HashMap::new();
        let (mut new, mut gone) = (0, 0);
        for step in steps {
            match step {
                Step::Get(number) => {
                    let found = resident.get(&key(number));
                    prop_assert!(found.is_none() || found.as_ref() == put.get(&number));
                }
                Step::Put(number, size) => {
                    let entry = entry(number, size);
                    let known = resident.get(&entry.key).is_some();
                    let kept = resident.put(entry.clone());
                    prop_assert_eq!(kept, size <= resident.max_bytes());
                    prop_assert_eq!(resident.get(&entry.key), kept.then(|| entry.clone()));
                    new += u64::from(kept && !known);
                    gone += u64::from(known && !kept);
                    put.insert(number, entry);
                }
                Step::Remove(number) => {
                    gone += u64::from(resident.remove(&key(number)).is_some());
                    prop_assert_eq!(resident.get(&key(number)), None);
                }
                Step::Sweep(now, most) => {
                    let swept = resident.sweep(u64::from(now), most);
                    prop_assert!(swept <= most as u64);
                    gone += swept;
                }
                Step::Clear(even) => {
                    let selection = tenant(if even { "even" } else { "odd" });
                    gone += resident.clear(&selection);
                    prop_assert_eq!(resident.list(&selection, 1), Vec::new());
                }
                Step::SetMaxBytes(max_bytes) => {
                    resident.set_max_bytes(max_bytes);
                    prop_assert_eq!(resident.max_bytes(), max_bytes);
                }
            }
            check(&resident);
            prop_assert_eq!(resident.usage().entries, new - gone - resident.evicted());
        }
    }
}

#[test]
fn an_entry_may_take_all_there_is() {
    let resident = filled(1_000);
    let all = resident.max_bytes();
    assert!(resident.put(entry(0, all)));
    assert_eq!(resident.usage(), Usage { entries: 1, bytes: all as u64 });
    assert!(!resident.put(entry(0, all + 1)));
    assert_eq!(resident.get(&key(0)), None, "what it replaces is outdated");
    check(&resident);
}

#[test]
fn a_sweep_goes_on_where_the_last_one_ended() {
    let resident = filled(1_000);
    let swept: Vec<u64> = (0..4).map(|_| resident.sweep(1_000, 250)).collect();
    assert_eq!(swept, [250; 4]);
    assert_eq!(resident.usage(), Usage::default());
    assert_eq!(resident.evicted(), 0);
}

#[test]
fn sweeps_begin_again_and_leave_what_is_fresh() {
    let resident = filled(1_000);
    assert_eq!((0..4).map(|_| resident.sweep(499, 300)).sum::<u64>(), 500);
    assert_eq!((0..4).map(|_| resident.sweep(599, 300)).sum::<u64>(), 100);
    assert_eq!(resident.usage().entries, 400);
    check(&resident);
}

#[test]
fn a_use_is_told_once_in_a_while() {
    let resident = filled(100);
    let told_of = |now_ms| (0..4).map(|_| resident.take_used(now_ms, 25).len()).collect::<Vec<_>>();
    let reads = |numbers: std::ops::Range<u32>| {
        assert!(numbers.into_iter().all(|number| resident.get(&key(number)).is_some()));
    };
    reads(20..30);
    assert_eq!(told_of(TOLD_EVERY_MS - 1), [0; 4], "that they were made is known");
    assert_eq!(told_of(TOLD_EVERY_MS), [5, 5, 0, 0]);
    reads(20..100);
    assert_eq!(told_of(2 * TOLD_EVERY_MS - 1), [0, 20, 25, 25]);
    assert_eq!(told_of(2 * TOLD_EVERY_MS), [5, 5, 0, 0], "later, but not never");
    assert_eq!(told_of(3 * TOLD_EVERY_MS), [0; 4]);
}

#[test]
fn less_room_is_made_at_once() {
    let resident = filled(10_000);
    resident.set_max_bytes(BARE * 100 + 1);
    assert_eq!(resident.usage(), Usage { entries: 100, bytes: 100 * BARE as u64 });
    assert_eq!(resident.evicted(), 9_900);
    check(&resident);
    resident.set_max_bytes(0);
    assert_eq!(resident.usage(), Usage::default());
    assert!(!resident.put(entry(0, BARE)));
}

#[test]
fn only_what_is_meant_is_forgotten_and_listed() {
    let resident = filled(1_000);
    assert_eq!(resident.list(&tenant("odd"), usize::MAX).len(), 500);
    assert_eq!(resident.list(&tenant("odd"), 300).len(), 300);
    assert_eq!(resident.clear(&tenant("even")), 500);
    assert_eq!(resident.list(&tenant("even"), 300).len(), 0);
    assert_eq!(resident.usage().entries, 500);
    assert_eq!(resident.clear(&Selection::default()), 500);
    check(&resident);
}

#[test]
fn a_scan_leaves_what_is_used() {
    let resident = filled(1_000);
    let used = (0..1_000).step_by(2).map(key);
    for key in used.clone() {
        assert!(resident.get(&key).is_some() && resident.get(&key).is_some());
    }
    for number in 1_000..20_000 {
        resident.put(entry(number, BARE));
    }
    assert!(used.into_iter().all(|key| resident.get(&key).is_some()));
}

#[test]
fn many_threads_keep_the_bound() {
    const MOST: usize = 100 * BARE;
    let resident = Resident::new(MOST);
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let resident = &resident;
            scope.spawn(move || {
                for round in 0..20_000_u32 {
                    let number = round.wrapping_mul(2_654_435_761).wrapping_add(thread) % 300;
                    if resident.get(&key(number)).is_none() {
                        resident.put(entry(number, BARE + number as usize));
                    }
                    match round % 1_000 {
                        0 => drop(resident.clear(&tenant("odd"))),
                        1..100 => drop(resident.remove(&key(number))),
                        100..200 => drop(resident.sweep(u64::from(number), 10)),
                        200 => resident.set_max_bytes(MOST / 2),
                        201 => resident.set_max_bytes(MOST),
                        _ => assert!(resident.usage().bytes <= MOST as u64),
                    }
                }
            });
        }
    });
    resident.set_max_bytes(MOST);
    check(&resident);
}
