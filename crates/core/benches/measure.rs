//! What measuring costs: `cargo bench -p antiphon-core --bench measure`.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_core::measure::Stage;
use antiphon_core::measure::account::{Account, Worker};

const SAMPLES: u32 = 10_000_000;

fn main() {
    let stage = Stage::new("step");
    let alone = time(|n| stage.record(Duration::from_nanos(u64::from(n) * 977)));
    let timed = time(|_| {
        let began = Instant::now();
        stage.record(began.elapsed());
    });
    let account = Account::open();
    let worker = Worker::new("bench");
    let charged = time(|_| {
        let working = worker.begin_for(Some(Arc::clone(&account)));
        let began = Instant::now();
        account.charge(began.elapsed());
        drop(working);
    });
    let shared = {
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..SAMPLES).for_each(|n| stage.record(Duration::from_nanos(u64::from(n)))));
            }
        });
        began.elapsed().as_secs_f64() / f64::from(SAMPLES) * 1e9
    };
    #[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
    {
        println!("a sample, recorded                     {alone:6.1} ns");
        println!("a sample, timed and recorded           {timed:6.1} ns");
        println!("a piece of work, charged to a call     {charged:6.1} ns");
        println!("a sample, all cores on the same stage  {shared:6.1} ns");
    }
}

fn time(mut step: impl FnMut(u32)) -> f64 {
    let began = Instant::now();
    for n in 0..SAMPLES {
        step(black_box(n));
    }
    began.elapsed().as_secs_f64() / f64::from(SAMPLES) * 1e9
}
