//! Steps whose instructions are counted: `scripts/instructions.sh` runs each one under valgrind and compares.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::MediaTime;
use antiphon_core::dialog::{Dialog, Input, TurnConfig};
use antiphon_core::measure::Histogram;
use antiphon_core::measure::account::{Account, Worker, tag};
use antiphon_core::trace::TraceContext;
use antiphon_testkit::instructions::{self, Case};

const CASES: &[Case] = &[
    ("account_begin_and_drop", account_begin_and_drop),
    ("dialog_voice_in_silence", |iterations| dialog_voice(iterations, 0.01)),
    ("dialog_voice_in_speech", |iterations| dialog_voice(iterations, 0.9)),
    ("histogram_record", histogram_record),
    ("snapshot_percentile", snapshot_percentile),
    ("traceparent_parse", traceparent_parse),
];

fn main() -> Result<(), String> {
    instructions::run(CASES)
}

fn account_begin_and_drop(iterations: u64) {
    let call = Account::open();
    let _session = Worker::new("session").begin_for(Some(Arc::clone(&call)));
    let model = Worker::new("model");
    for _ in 0..iterations {
        let _model = black_box(model).begin();
        black_box(tag());
    }
}

/// The same judgement again and again: past the first few windows, a call in which nothing begins or ends.
fn dialog_voice(iterations: u64, probability: f32) {
    const WINDOW: Duration = Duration::from_millis(32);
    let endless = TurnConfig { max_turn: Duration::MAX, ..TurnConfig::default() };
    let mut dialog = Dialog::new(endless);
    let mut now = MediaTime::ZERO;
    for _ in 0..iterations {
        now += WINDOW;
        dialog.handle(Input::Voice(black_box(probability)), now);
        while let Some(output) = dialog.poll() {
            black_box(output);
        }
    }
}

fn histogram_record(iterations: u64) {
    let histogram = Histogram::default();
    for n in 0..iterations {
        histogram.record(black_box(Duration::from_nanos(n * 977)));
    }
}

fn snapshot_percentile(iterations: u64) {
    let histogram = Histogram::default();
    (1..=10_000).for_each(|n| histogram.record(Duration::from_micros(n)));
    let snapshot = histogram.snapshot();
    for _ in 0..iterations {
        black_box(snapshot.percentile(black_box(0.95)));
    }
}

fn traceparent_parse(iterations: u64) {
    for _ in 0..iterations {
        let text = black_box("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        black_box(text.parse::<TraceContext>()).ok();
    }
}
