//! How often the cache in memory has what is asked for, how soon, and what it takes:
//! `cargo bench -p antiphon-cache --bench cache`.
//!
//! The hit ratios are those of seeded traces, the same on every machine. The published ones are those in TinyUFO's
//! `benches/bench_hit_ratio.rs` (<https://github.com/cloudflare/pingora>), whose traces the first table repeats.

#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod footprint;
mod latency;
mod policies;
mod trace;

use trace::Trace;

fn main() {
    if footprint::is_asked_for() {
        return;
    }
    footprint::print();
    published();
    own();
    latency::print();
}

/// 10,000 keys and 5 million requests, all of which count.
fn published() {
    // Zipf's exponent, the cache's part of the keys; LRU, moka (TinyLFU), quick_cache and TinyUFO in percent.
    const FIGURES: [(f64, f64, [f64; 4]); 6] = [
        (0.9, 0.01, [26.14, 37.98, 39.29, 40.00]),
        (0.9, 0.10, [55.62, 64.14, 64.65, 66.28]),
        (1.0, 0.01, [39.02, 50.64, 51.40, 52.17]),
        (1.0, 0.10, [67.60, 74.22, 74.67, 75.91]),
        (1.1, 0.01, [52.85, 63.05, 63.33, 64.17]),
        (1.1, 0.10, [78.07, 82.99, 83.14, 84.01]),
    ];
    println!("hit ratio in %, 10,000 keys");
    println!("                 published                      measured");
    println!("  zipf  cache       lru   moka  quick   tiny  {}", titles());
    for (alpha, part, figures) in FIGURES {
        let trace = Trace::zipf(10_000, alpha, 5_000_000);
        println!("   {alpha:.1}  {:3.0} %  {}  {}", part * 100.0, row(figures), row(trace.ratios(part, 0)));
    }
    println!();
}

/// More keys; half of the requests are warm-up.
fn own() {
    const KEYS: u32 = 100_000;
    const REQUESTS: usize = 2_000_000;
    println!("hit ratio in %, 100,000 keys, after warm-up");
    println!("  trace                        cache  {}", titles());
    for part in [0.01, 0.10] {
        let scan = (f64::from(KEYS) * part) as u32;
        let traces = [
            ("zipf 0.8", Trace::zipf(KEYS, 0.8, REQUESTS)),
            ("zipf 1.0", Trace::zipf(KEYS, 1.0, REQUESTS)),
            ("zipf 1.2", Trace::zipf(KEYS, 1.2, REQUESTS)),
            ("zipf 1.0 between scans", Trace::zipf(KEYS, 1.0, REQUESTS).with_scans(scan)),
            ("zipf 1.0, sizes 0.5 to 50 kB", Trace::zipf(KEYS, 1.0, REQUESTS).with_sizes()),
            ("zipf 1.0, popularity moves", Trace::zipf(KEYS, 1.0, REQUESTS).with_moves()),
            ("zipf 1.0 and as many bursts", Trace::zipf(KEYS, 1.0, REQUESTS).with_bursts()),
        ];
        for (name, trace) in traces {
            println!("  {name:<28} {:3.0} %  {}", part * 100.0, row(trace.ratios(part, REQUESTS / 2)));
        }
    }
    println!();
}

fn titles() -> String {
    policies::NAMES.map(|name| format!("{name:>7}")).concat()
}

fn row<const N: usize>(ratios: [f64; N]) -> String {
    ratios.map(|ratio| format!("{ratio:7.2}")).concat()
}
