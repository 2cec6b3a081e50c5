//! Steps whose instructions are counted: `scripts/instructions.sh` runs each one under valgrind and compares the counts.
//! Each step handles one frame of 20 ms; those of the gate handle a window of 32 ms.

use std::hint::black_box;

use antiphon_audio::{Gate, Ingest, Law, Resampler};
use antiphon_core::{FRAME, SampleRate};
use antiphon_testkit::instructions::{self, Case};

const CASES: &[Case] = &[
    ("gate_noise", gate_noise),
    ("gate_silence", gate_silence),
    ("ingest_telephone", ingest_telephone),
    ("mulaw_decode_and_encode", mulaw_decode_and_encode),
    ("resample_16k_to_8k", |n| resample(n, SampleRate::HZ_16000, SampleRate::HZ_8000)),
    ("resample_24k_to_8k", |n| resample(n, SampleRate::HZ_24000, SampleRate::HZ_8000)),
    ("resample_8k_to_16k", |n| resample(n, SampleRate::HZ_8000, SampleRate::HZ_16000)),
];

/// Bytes of G.711 in one frame of a telephone call.
const TELEPHONE_FRAME: usize = 160;
/// Samples that Silero judges at a time, and so the gate in front of it, too.
const WINDOW: usize = 512;

fn main() -> Result<(), String> {
    instructions::run(CASES)
}

/// White noise, the same on every run.
fn noise(samples: usize) -> Vec<i16> {
    // The generator of Knuth's MMIX; its upper bits are random enough.
    let mut state = 1u64;
    (0..samples)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 48) as i16 / 4
        })
        .collect()
}

/// Every other window is silent. Steady noise alone would not pass the gate's first stage, and its second would never run.
fn gate_noise(iterations: u64) {
    let windows = [noise(WINDOW), vec![0; WINDOW]];
    let mut gate = Gate::new();
    for (_, window) in (0..iterations).zip(windows.iter().cycle()) {
        black_box(gate.push(black_box(window)));
    }
}

fn gate_silence(iterations: u64) {
    let window = [0; WINDOW];
    let mut gate = Gate::new();
    for _ in 0..iterations {
        black_box(gate.push(black_box(&window)));
    }
}

fn ingest_telephone(iterations: u64) {
    let frame: Vec<u8> = noise(TELEPHONE_FRAME).into_iter().map(|sample| Law::Mu.encode(sample)).collect();
    let mut ingest = Ingest::new(SampleRate::HZ_8000);
    let mut heard = Vec::new();
    for _ in 0..iterations {
        heard.clear();
        ingest.g711(Law::Mu, black_box(&frame), &mut heard);
    }
}

fn mulaw_decode_and_encode(iterations: u64) {
    let mut bytes: Vec<u8> =
        noise(TELEPHONE_FRAME).into_iter().map(|sample| Law::Mu.encode(sample)).collect();
    let mut samples = Vec::new();
    for _ in 0..iterations {
        samples.clear();
        Law::Mu.decode_into(black_box(&bytes), &mut samples);
        bytes.clear();
        Law::Mu.encode_into(black_box(&samples), &mut bytes);
    }
}

fn resample(iterations: u64, from: SampleRate, to: SampleRate) {
    let frame = noise(from.samples_in(FRAME));
    let mut resampler = Resampler::new(from, to);
    let mut output = Vec::new();
    for _ in 0..iterations {
        output.clear();
        resampler.process(black_box(&frame), &mut output);
    }
}
