//! A planted memory leak is found and named by the heap profile.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "jemalloc reads its options from a symbol of this name")]

use std::collections::HashMap;

use antiphon_telemetry::profile::HeapSampler;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The options that jemalloc reads when the program starts.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8; 28] = b"prof:true,prof_active:false\0";

#[inline(never)]
fn planted_leak(kept: &mut Vec<Vec<u8>>) {
    for _ in 0..1_000 {
        kept.push(vec![7; 4_096]);
    }
}

#[inline(never)]
fn honest_work(cache: &mut HashMap<u32, Vec<u8>>) {
    for n in 0..200 {
        cache.insert(n, vec![1; 8_192]);
    }
}

#[test]
fn what_grows_all_the_time_is_a_suspect_and_what_is_replaced_is_not() {
    let mut sampler = HeapSampler::start().expect("jemalloc profiles");
    assert!(HeapSampler::start().is_err(), "one at a time");
    let (mut kept, mut cache) = (Vec::new(), HashMap::new());
    for _ in 0..HeapSampler::PARTS {
        planted_leak(&mut kept);
        honest_work(&mut cache);
        sampler.look().expect("a dump");
    }
    let profile = sampler.finish(None).expect("a profile");
    assert!(profile.suspects[0].site.contains("planted_leak"), "{:#?}", profile.suspects);
    assert!(!profile.suspects.iter().any(|s| s.site.contains("honest_work")), "{:#?}", profile.suspects);
    let leaked = profile.suspects[0].bytes as f64;
    assert!((leaked / (4_000.0 * 4_096.0) - 1.0).abs() < 0.35, "{leaked}");
    assert!(profile.folded.iter().any(|line| line.contains("planted_leak")));
    assert_eq!((kept.len(), cache.len()), (4_000, 200));
}
