//! Signals for the tests of this crate, and how alike two signals are.

use std::f32::consts::TAU;

/// A signal like a vowel: harmonics that swell and fade.
pub(crate) fn speech(samples: usize) -> Vec<i16> {
    (0..samples)
        .map(|n| {
            let t = n as f32;
            let swell = 0.6 + 0.4 * (t * TAU / 4_000.0).sin();
            let voice: f32 = (1u8..6).map(|h| (t * TAU * f32::from(h) / 40.0).sin() / f32::from(h)).sum();
            (6_000.0 * swell * voice) as i16
        })
        .collect()
}

/// White noise, the same on every run.
pub(crate) fn noise(samples: usize) -> Vec<i16> {
    // The generator of Knuth's MMIX; its upper bits are random enough.
    let mut state = 1u64;
    (0..samples)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 48) as i16 / 4
        })
        .collect()
}

/// How far the difference to `reference` lies below it, in dB, over the length of the shorter one.
pub(crate) fn signal_to_noise(reference: &[i16], heard: &[i16]) -> f64 {
    let energy = |samples: &mut dyn Iterator<Item = f64>| samples.map(|sample| sample * sample).sum::<f64>();
    let pairs = || reference.iter().zip(heard).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    10.0 * (energy(&mut pairs().map(|(a, _)| a)) / energy(&mut pairs().map(|(a, b)| b - a))).log10()
}

/// The correlation coefficient of two signals, over the length of the shorter one.
pub(crate) fn correlation(a: &[i16], b: &[i16]) -> f64 {
    let sum = |f: fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f(f64::from(a), f64::from(b))).sum()
    };
    sum(|a, b| a * b) / (sum(|a, _| a * a) * sum(|_, b| b * b)).sqrt()
}
