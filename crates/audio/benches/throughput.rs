//! How many times faster than real time each stage of a call's audio runs on one core.
//!
//! Run it with `cargo bench -p antiphon-audio`. Each figure is the best of several rounds, which keeps out most of what else
//! the machine does.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use antiphon_audio::{FileEncoder, FileFormat, Gate, Ingest, Law, Resampler, decode_file, encode_file};
use antiphon_core::{AudioChunk, FRAME, SampleRate};

/// Length of the audio that every stage handles.
const AUDIO: Duration = Duration::from_secs(10);
/// Rounds of each stage, of which the best counts.
const ROUNDS: usize = 7;
/// Samples of a telephone frame: 20 ms at 8 kHz.
const TELEPHONE_FRAME: usize = 160;
/// Samples that Silero judges at a time: 32 ms at 16 kHz.
const WINDOW: usize = 512;
/// Samples of a frame of a voice: 20 ms at 24 kHz.
const VOICE_FRAME: usize = 480;

/// Times `stage`, which handles [`AUDIO`] once.
fn report(name: &str, mut stage: impl FnMut()) {
    let best = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            stage();
            start.elapsed()
        })
        .min()
        .unwrap_or(Duration::MAX);
    let factor = AUDIO.as_secs_f64() / best.as_secs_f64();
    let cost = best.as_secs_f64() * 1e6 / AUDIO.as_secs_f64();
    println!("{name:<28} {factor:>10.0} x real time {cost:>10.1} us per second of audio");
}

/// A signal like speech: a vowel that swells and fades.
fn speech(rate: SampleRate) -> Vec<i16> {
    let samples = rate.samples_in(AUDIO);
    (0..samples)
        .map(|n| {
            let t = n as f32 / rate.hz() as f32;
            let swell = (t * 20.0).sin().max(0.0);
            let voice: f32 = (1u8..12).map(|h| (t * 900.0 * f32::from(h)).sin() / f32::from(h)).sum();
            (8_000.0 * swell * voice) as i16
        })
        .collect()
}

fn main() {
    codecs();
    resamplers();
    let samples = speech(SampleRate::HZ_16000);
    let mut gate = Gate::new();
    report("gate, 32 ms windows", || {
        for window in samples.chunks_exact(WINDOW) {
            black_box(gate.push(window));
        }
    });
    files();
}

fn codecs() {
    let samples = speech(SampleRate::HZ_8000);
    for law in [Law::Mu, Law::A] {
        let (mut bytes, mut decoded) = (Vec::new(), Vec::new());
        report(&format!("G.711 {law:?} encode"), || {
            for frame in samples.chunks(TELEPHONE_FRAME) {
                bytes.clear();
                law.encode_into(black_box(frame), &mut bytes);
            }
        });
        let coded: Vec<u8> = samples.iter().map(|&sample| law.encode(sample)).collect();
        report(&format!("G.711 {law:?} decode"), || {
            for frame in coded.chunks(TELEPHONE_FRAME) {
                decoded.clear();
                law.decode_into(black_box(frame), &mut decoded);
            }
        });
    }
    let coded = vec![0x55; samples.len()];
    let mut ingest = Ingest::new(SampleRate::HZ_8000);
    let mut heard = Vec::new();
    report("ingest of a phone call", || {
        for frame in coded.chunks(TELEPHONE_FRAME) {
            heard.clear();
            ingest.g711(Law::Mu, black_box(frame), &mut heard);
        }
    });
}

fn resamplers() {
    let pairs = [
        (8_000, 16_000),
        (16_000, 8_000),
        (22_050, 8_000),
        (24_000, 8_000),
        (22_050, 16_000),
        (24_000, 16_000),
        (48_000, 16_000),
        (22_050, 24_000),
        (22_050, 48_000),
        (24_000, 48_000),
        (44_100, 16_000),
        (44_101, 16_000),
    ];
    for (from, to) in pairs.map(|(from, to)| (rate(from), rate(to))) {
        let samples = speech(from);
        let mut resampler = Resampler::new(from, to);
        let mut output = Vec::new();
        report(&format!("resample {} to {}", from.hz(), to.hz()), || {
            for frame in samples.chunks(from.samples_in(FRAME)) {
                output.clear();
                resampler.process(black_box(frame), &mut output);
            }
        });
    }
}

fn files() {
    let audio = AudioChunk::new(SampleRate::HZ_24000, speech(SampleRate::HZ_24000));
    for format in [FileFormat::Wav, FileFormat::Flac, FileFormat::Opus, FileFormat::Mp3] {
        let mut output = Vec::new();
        report(&format!("write {}", format.name()), || {
            output.clear();
            let started = FileEncoder::start(format, audio.rate, None, &mut output);
            let Ok(mut encoder) = started else { return };
            for frame in audio.samples.chunks(VOICE_FRAME) {
                if encoder.push(frame, &mut output).is_err() {
                    return;
                }
            }
            black_box(encoder.finish(&mut output)).ok();
        });
        let Ok(file) = encode_file(format, &audio) else { continue };
        report(&format!("read {}", format.name()), || {
            black_box(decode_file(&file, AUDIO * 2)).ok();
        });
    }
}

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).unwrap_or(SampleRate::HZ_48000)
}
