//! A function that is planted to be slow tops the CPU profile, and its work is attributed to the right component
//! and call.
#![expect(clippy::disallowed_methods, reason = "keeps a processor busy for a while")]
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use antiphon_core::measure::account::{Account, Worker};
use antiphon_telemetry::profile::{CpuSampler, HERTZ};

#[inline(never)]
fn planted_hot_function(until: Instant) -> u64 {
    let mut sum = 0_u64;
    while Instant::now() < until {
        for n in 0..20_000_u64 {
            sum = black_box(sum.wrapping_mul(31).wrapping_add(n));
        }
    }
    sum
}

#[inline(never)]
fn a_little_work(until: Instant) -> u64 {
    let mut sum = 1_u64;
    while Instant::now() < until {
        for n in 0..20_000_u64 {
            sum = black_box(sum.rotate_left(3) ^ n);
        }
    }
    sum
}

#[test]
fn a_hot_function_tops_the_profile_of_its_component_and_call() {
    let sampler = CpuSampler::start().expect("it begins");
    assert!(CpuSampler::start().is_err(), "one at a time");
    let account = Account::open();
    let number = account.number();
    std::thread::Builder::new()
        .name("model-7".to_owned())
        .spawn(move || {
            let _working = Worker::new("stt").begin_for(Some(account));
            planted_hot_function(Instant::now() + Duration::from_millis(1_500));
        })
        .expect("a thread")
        .join()
        .expect("it ends");
    a_little_work(Instant::now() + Duration::from_millis(300));
    let profile = sampler.finish(None, |n| (n == number).then(|| "call_1".to_owned()));
    assert!(profile.top[0].name.contains("planted_hot_function"), "{:#?}", &profile.top[..3]);
    assert!(profile.top[0].share > 0.5, "{}", profile.top[0].share);
    assert_eq!(profile.components[0].name, "stt", "{:?}", profile.components);
    assert_eq!(profile.calls[0].name, "call_1", "{:?}", profile.calls);
    // Profiles sample CPU time, so a busy machine gives fewer samples. At least half of those of 1.5 s must be there.
    assert!(profile.total >= u64::from(HERTZ) / 2, "{}", profile.total);
    let edge = profile.call_graph.iter().find(|edge| edge.callee.contains("planted_hot_function"));
    assert!(edge.is_some_and(|edge| edge.weight == profile.top[0].total), "{:?}", profile.call_graph);
    let svg = profile.flame_graph();
    assert!(svg.contains("<svg") && svg.contains("planted_hot_function"));
    let again = CpuSampler::start().expect("the next may begin");
    let only = again.finish(Some("nobody"), |_| None);
    assert_eq!((only.total, only.flame_graph().contains("<svg")), (0, true));
}
