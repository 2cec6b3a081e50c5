//! Sounds in which nobody speaks, each a minute and more long, made with a seed: half an hour of them.

use std::f32::consts::TAU;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Samples a second.
pub(crate) const RATE: usize = 16_000;
/// The length of each in samples: 65 s, so that 28 of them last half an hour.
const LENGTH: usize = 65 * RATE;
/// Levels of noise in decibel below full scale.
const LEVELS: [f32; 5] = [15.0, 30.0, 40.0, 50.0, 60.0];
/// The low and the high frequencies of a telephone's keys in Hz (ITU-T Q.23).
const LOW: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH: [f32; 3] = [1_209.0, 1_336.0, 1_477.0];
/// The notes of a chord in Hz, from G3 on.
const NOTES: [f32; 8] = [196.0, 220.0, 247.0, 294.0, 330.0, 392.0, 440.0, 523.0];

/// All of them with their names; samples lie between -1 and 1.
pub(crate) fn all() -> Vec<(String, Vec<f32>)> {
    let mut random = StdRng::seed_from_u64(16);
    let mut sounds = Vec::new();
    for decibel in LEVELS {
        for (colour, memory) in [("white", 0.0), ("pink", 0.9), ("brown", 0.998)] {
            let sound = at_level(noise(&mut random, memory), decibel);
            sounds.push((format!("{colour} noise at -{decibel} dB"), sound));
        }
    }
    for hum in [50.0, 60.0, 120.0] {
        let sound = made(|t| (1..4).map(|n| 0.1 / n as f32 * tone(hum * n as f32, t)).sum());
        sounds.push((format!("hum of {hum} Hz"), sound));
    }
    sounds.push(("keypad".to_owned(), made(keys)));
    sounds.push(("fax, calling".to_owned(), made(|t| 0.3 * tone(1_100.0, t) * pulse(t, 3.5, 0.5))));
    sounds.push(("fax, answering".to_owned(), made(|t| 0.3 * tone(2_100.0, t))));
    sounds
        .push(("ringing".to_owned(), made(|t| 0.2 * (tone(440.0, t) + tone(480.0, t)) * pulse(t, 6.0, 2.0))));
    sounds.push(("bell".to_owned(), made(|t| 0.3 * tone(1_000.0, t) * tone(20.0, t) * pulse(t, 4.0, 2.0))));
    sounds.push(("busy".to_owned(), made(|t| 0.3 * tone(425.0, t) * pulse(t, 1.0, 0.5))));
    sounds.push(("clicks".to_owned(), bursts(&mut random, 200, 40, 0.5)));
    sounds.push(("rain".to_owned(), bursts(&mut random, 60_000, 200, 0.02)));
    sounds.push(("plucked chords".to_owned(), chords(&mut random)));
    sounds.push(("a constant offset".to_owned(), vec![0.2; LENGTH]));
    sounds.push(("digital silence".to_owned(), vec![0.0; LENGTH]));
    sounds
}

/// A sound from its value at each time in seconds.
fn made(value: impl Fn(f32) -> f32) -> Vec<f32> {
    (0..LENGTH).map(|at| value(at as f32 / RATE as f32)).collect()
}

fn tone(hertz: f32, t: f32) -> f32 {
    // Only the fraction counts, which stays exact for a minute.
    (TAU * (hertz * t).fract()).sin()
}

/// One during the first part of each period, else zero.
fn pulse(t: f32, period: f32, on: f32) -> f32 {
    if t % period < on { 1.0 } else { 0.0 }
}

/// Keys that are pressed twice a second, one after the other.
fn keys(t: f32) -> f32 {
    let key = (t * 2.0) as usize;
    0.2 * (tone(LOW[key % LOW.len()], t) + tone(HIGH[key % HIGH.len()], t)) * pulse(t, 0.5, 0.2)
}

/// Noise whose samples keep so much of the one before; without memory it is white.
fn noise(random: &mut StdRng, memory: f32) -> Vec<f32> {
    let mut last = 0.0;
    let mut next = || {
        last = memory * last + random.random_range(-1.0_f32..1.0);
        last
    };
    (0..LENGTH).map(|_| next()).collect()
}

/// The same sound with its root mean square so far below full scale.
fn at_level(sound: Vec<f32>, decibel: f32) -> Vec<f32> {
    let level = (sound.iter().map(|sample| sample * sample).sum::<f32>() / sound.len() as f32).sqrt();
    let gain = 10_f32.powf(-decibel / 20.0) / level;
    sound.into_iter().map(|sample| (sample * gain).clamp(-1.0, 1.0)).collect()
}

/// So many short bursts of noise at random places, each of so many samples, which die away.
fn bursts(random: &mut StdRng, count: usize, length: usize, loudness: f32) -> Vec<f32> {
    let mut sound = vec![0.0; LENGTH];
    for _ in 0..count {
        let from = random.random_range(0..LENGTH - length);
        for at in 0..length {
            let fade = (-4.0 * at as f32 / length as f32).exp();
            sound[from + at] += loudness * fade * random.random_range(-1.0_f32..1.0);
        }
    }
    sound
}

/// Chords of three strings, one a second.
fn chords(random: &mut StdRng) -> Vec<f32> {
    let mut sound = vec![0.0; LENGTH];
    for from in (0..LENGTH - 2 * RATE).step_by(RATE) {
        for _ in 0..3 {
            let note = NOTES[random.random_range(0..NOTES.len())];
            for at in 0..2 * RATE {
                let t = at as f32 / RATE as f32;
                let harmonics: f32 = (1..6).map(|n| tone(note * n as f32, t) / n as f32).sum();
                sound[from + at] += 0.08 * (-3.0 * t).exp() * harmonics;
            }
        }
    }
    sound
}
