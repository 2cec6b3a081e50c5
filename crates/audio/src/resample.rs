//! Sample rate conversion: a streaming polyphase windowed-sinc filter.
//!
//! Method: J. O. Smith, "Digital Audio Resampling Home Page" (bandlimited interpolation), with one stored filter
//! for each phase of the exact ratio `L/M`, and a Kaiser window.

use std::f64::consts::PI;
use std::sync::{Arc, Mutex, Weak};

use antiphon_core::{SampleRate, lock};

/// Zero crossings of the sinc on each side, at the lower rate. They set the delay: 16 samples of the lower rate, plus the
/// taps that round the filter up to [`LANES`]. That is 2 ms at 8 kHz and 1 ms at 16 kHz.
const ZERO_CROSSINGS: usize = 16;
/// Shape of the Kaiser window for 65 dB of stop-band attenuation, by Kaiser's formula `0.1102 (A - 8.7)`. Aliases then lie
/// below the noise of 8-bit companding and of 11-bit PCM.
const KAISER_BETA: f64 = 6.2;
/// Middle of the transition band, relative to the lower Nyquist frequency. With the window above the band is 0.25 wide: the
/// response is flat up to 0.8 and nothing passes beyond 1.06.
const CUTOFF: f64 = 0.93;
/// Ratios with more phases than this interpolate between stored ones: 44.1 kHz to 16 kHz has 160, 11.025 kHz 640.
const MAX_EXACT_PHASES: usize = 1_024;
/// Stored phases when they are interpolated: the error of linear interpolation, `(pi / 256)^2 / 8`, is -94 dB.
const STORED_PHASES: usize = 256;
/// Input samples filtered at a time. Bounds the memory of a resampler, however long its input is.
const BLOCK: usize = 1_024;
/// Width of the inner loop; the number of taps of every filter is a multiple of it.
const LANES: usize = 8;

/// Converts a stream from one sample rate to another.
///
/// The output is aligned with the input: `n` input samples give `ceil(n * to / from)` output samples in all, of which the last
/// [`Resampler::delay_samples`] come when more input or [`Resampler::flush`] follows. The result does not depend on how the
/// input is cut into chunks. Equal rates pass through unchanged. Nothing is allocated after construction, apart from growing
/// the caller's buffer. Resamplers of the same ratio share one table.
#[derive(Clone, Debug)]
pub struct Resampler {
    /// `None` when both rates are equal.
    filter: Option<Arc<Filter>>,
    /// Input samples that the filter still needs, oldest first.
    history: Vec<f32>,
    /// Where the next output sample lies between two input samples, in `1/up` of the distance between them.
    phase: usize,
}

impl Resampler {
    /// Converts from `from` to `to`.
    pub fn new(from: SampleRate, to: SampleRate) -> Self {
        let filter = (from != to).then(|| Filter::shared(from.hz() as usize, to.hz() as usize));
        let capacity = filter.as_ref().map_or(0, |filter| filter.taps + BLOCK);
        let mut resampler = Self { filter, history: Vec::with_capacity(capacity), phase: 0 };
        resampler.reset();
        resampler
    }

    /// How many input samples are held back because their output depends on samples that come later.
    pub fn delay_samples(&self) -> usize {
        self.filter.as_ref().map_or(0, |filter| filter.taps / 2)
    }

    /// Appends to `output` the samples that `input` completes.
    pub fn process(&mut self, input: &[i16], output: &mut Vec<i16>) {
        let Some(filter) = &self.filter else {
            output.extend_from_slice(input);
            return;
        };
        for block in input.chunks(BLOCK) {
            self.history.extend(block.iter().map(|&sample| f32::from(sample)));
            self.phase = filter.run(&mut self.history, self.phase, output);
        }
    }

    /// Appends the end of the stream to `output`, as if silence followed, and resets for a new stream.
    pub fn flush(&mut self, output: &mut Vec<i16>) {
        if let Some(filter) = &self.filter {
            self.history.resize(self.history.len() + filter.taps / 2, 0.0);
            filter.run(&mut self.history, self.phase, output);
        }
        self.reset();
    }

    /// Drops the current stream and starts a new one.
    pub fn reset(&mut self) {
        self.history.clear();
        self.phase = 0;
        if let Some(filter) = &self.filter {
            // With this much silence before it, the first output sample lies exactly on the first input sample.
            self.history.resize(filter.taps / 2 - 1, 0.0);
        }
    }
}

/// The filter table of one ratio of rates.
#[derive(Debug)]
struct Filter {
    /// Output samples for every `down` input samples, in lowest terms.
    up: usize,
    /// Input samples for every `up` output samples.
    down: usize,
    /// Input samples that one output sample depends on.
    taps: usize,
    /// Stored phases: `up`, or [`STORED_PHASES`] when they are interpolated.
    phases: usize,
    /// `phases + 1` rows of `taps` coefficients.
    rows: Vec<f32>,
}

impl Filter {
    /// The table of this ratio. It is computed once, and again only if no resampler uses it any more.
    fn shared(from: usize, to: usize) -> Arc<Self> {
        static TABLES: Mutex<Vec<Weak<Filter>>> = Mutex::new(Vec::new());

        let divisor = gcd(from, to);
        let (up, down) = (to / divisor, from / divisor);
        let mut tables = lock(&TABLES);
        if let Some(found) =
            tables.iter().filter_map(Weak::upgrade).find(|filter| filter.up == up && filter.down == down)
        {
            return found;
        }
        let made = Arc::new(Self::new(up, down));
        tables.retain(|table| table.strong_count() > 0);
        tables.push(Arc::downgrade(&made));
        made
    }

    fn new(up: usize, down: usize) -> Self {
        // When the rate is reduced, the sinc is stretched so that it cuts off at the output's Nyquist frequency.
        let stretch = (down as f64 / up as f64).max(1.0);
        let half = (ZERO_CROSSINGS as f64 * stretch).ceil() as usize;
        let taps = (2 * half).next_multiple_of(LANES);
        let phases = if up <= MAX_EXACT_PHASES { up } else { STORED_PHASES };
        let centre = (taps / 2 - 1) as f64;
        let mut rows = Vec::with_capacity((phases + 1) * taps);
        for phase in 0..=phases {
            let offset = phase as f64 / phases as f64;
            let row: Vec<f64> =
                (0..taps).map(|tap| windowed_sinc(offset + centre - tap as f64, stretch)).collect();
            // Every phase must pass a constant unchanged; otherwise silence with an offset would become a hum.
            let gain: f64 = row.iter().sum();
            rows.extend(row.iter().map(|tap| (tap / gain) as f32));
        }
        Self { up, down, taps, phases, rows }
    }

    fn row(&self, phase: usize) -> &[f32] {
        &self.rows[phase * self.taps..][..self.taps]
    }

    /// Filters as much of `history` as has all its taps, drops the input that is no longer needed, and returns the next phase.
    fn run(&self, history: &mut Vec<f32>, mut phase: usize, output: &mut Vec<i16>) -> usize {
        let mut start = 0;
        while let Some(window) = history.get(start..start + self.taps) {
            output.push(quantise(self.at(window, phase)));
            phase += self.down;
            start += phase / self.up;
            phase %= self.up;
        }
        history.drain(..start);
        phase
    }

    /// The output sample at a phase, by linear interpolation if only some phases are stored.
    fn at(&self, window: &[f32], phase: usize) -> f32 {
        if self.phases == self.up {
            return dot(window, self.row(phase));
        }
        let position = phase * self.phases;
        let (below, rest) = (position / self.up, position % self.up);
        let low = dot(window, self.row(below));
        let high = dot(window, self.row(below + 1));
        low + (high - low) * (rest as f32 / self.up as f32)
    }
}

/// The value of the filter at `t` input samples from its middle.
fn windowed_sinc(t: f64, stretch: f64) -> f64 {
    let width = ZERO_CROSSINGS as f64 * stretch;
    let position = t / width;
    if position.abs() >= 1.0 {
        return 0.0;
    }
    let x = PI * CUTOFF * t / stretch;
    let sinc = if x.abs() < 1e-9 { 1.0 } else { x.sin() / x };
    sinc * bessel_i0(KAISER_BETA * (1.0 - position * position).sqrt())
}

/// The modified Bessel function of order zero, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let mut term = 1.0;
    let mut sum = 1.0;
    let mut k = 1.0;
    while term > sum * 1e-12 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

/// The dot product. Each lane has its own sum, so that the compiler can use vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum()
}

fn quantise(sample: f32) -> i16 {
    // The conversion saturates, so loud samples clip and do not wrap around.
    sample.round_ties_even() as i16
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPEECH_RATES: [u32; 5] = [8_000, 16_000, 22_050, 24_000, 48_000];

    fn rate(hz: u32) -> SampleRate {
        SampleRate::new(hz).unwrap()
    }

    fn tone(hz: f64, rate: u32, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| (10_000.0 * (2.0 * PI * hz * n as f64 / f64::from(rate)).sin()).round() as i16)
            .collect()
    }

    fn convert(input: &[i16], from: u32, to: u32) -> Vec<i16> {
        let mut resampler = Resampler::new(rate(from), rate(to));
        let mut output = Vec::new();
        resampler.process(input, &mut output);
        resampler.flush(&mut output);
        output
    }

    fn decibel(power: f64) -> f64 {
        10.0 * power.max(1e-12).log10()
    }

    fn power(samples: impl ExactSizeIterator<Item = f64>) -> f64 {
        let count = samples.len() as f64;
        samples.map(|sample| sample * sample).sum::<f64>() / count
    }

    #[test]
    fn a_tone_in_the_passband_arrives_aligned_and_clean() {
        for from in SPEECH_RATES {
            for to in SPEECH_RATES {
                for share in [0.05, 0.3, 0.75] {
                    let hz = share * f64::from(from.min(to)) / 2.0;
                    let output = convert(&tone(hz, from, from as usize / 2), from, to);
                    let expected = tone(hz, to, output.len());
                    // The edges, where the tone starts and stops at once, are not the filter's fault.
                    let middle = output.len() / 4..output.len() * 3 / 4;
                    let error = power(middle.clone().map(|n| f64::from(output[n]) - f64::from(expected[n])));
                    let ratio = decibel(power(middle.map(|n| f64::from(expected[n]))) / error.max(1e-3));
                    assert!(ratio > 55.0, "{hz} Hz, {from} to {to}: {ratio:.1} dB");
                }
            }
        }
    }

    #[test]
    fn a_tone_above_the_output_band_is_gone() {
        for from in SPEECH_RATES {
            for to in SPEECH_RATES.into_iter().filter(|to| *to < from) {
                // Not above the input's own Nyquist frequency, where no tone can be.
                let hz = (1.08 * f64::from(to) / 2.0).min(0.98 * f64::from(from) / 2.0);
                if hz < 1.07 * f64::from(to) / 2.0 {
                    continue;
                }
                let output = convert(&tone(hz, from, from as usize / 2), from, to);
                let middle = output.len() / 4..output.len() * 3 / 4;
                let level = decibel(power(middle.map(|n| f64::from(output[n]))) / 5e7);
                assert!(level < -60.0, "{hz} Hz, {from} to {to}: {level:.1} dB");
            }
        }
    }

    #[test]
    fn images_of_a_tone_are_gone_when_the_rate_rises() {
        let output = convert(&tone(3_000.0, 8_000, 8_000), 8_000, 48_000);
        let expected = tone(3_000.0, 48_000, output.len());
        let error = power((12_000..36_000).map(|n| f64::from(output[n]) - f64::from(expected[n])));
        assert!(decibel(error / 5e7) < -55.0);
    }

    #[test]
    fn equal_rates_pass_through_untouched() {
        let input = tone(440.0, 16_000, 999);
        assert_eq!(convert(&input, 16_000, 16_000), input);
        assert_eq!(Resampler::new(rate(16_000), rate(16_000)).delay_samples(), 0);
    }

    #[test]
    fn telephony_is_delayed_by_little_more_than_two_milliseconds_at_most() {
        for (from, to) in
            [(8_000, 16_000), (16_000, 8_000), (24_000, 8_000), (22_050, 8_000), (8_000, 24_000)]
        {
            let delay = Resampler::new(rate(from), rate(to)).delay_samples() as f64 / f64::from(from);
            assert!(delay < 0.0022, "{from} to {to}: {delay} s");
        }
    }

    #[test]
    fn full_scale_does_not_wrap() {
        let square: Vec<i16> =
            (0..4_000).map(|n| if n / 20 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let output = convert(&square, 16_000, 24_000);
        // A wrapped overshoot would be of the other sign.
        let wrapped = (100..5_900).filter(|&n| {
            let source = square[n * 2 / 3];
            n % 30 > 6 && n % 30 < 24 && (output[n] > 0) != (source > 0)
        });
        assert_eq!(wrapped.count(), 0);
    }

    #[test]
    fn a_ratio_of_many_phases_is_interpolated_as_cleanly() {
        let hz = 1_000.0;
        let output = convert(&tone(hz, 44_101, 22_000), 44_101, 16_000);
        let expected = tone(hz, 16_000, output.len());
        let error = power((1_000..7_000).map(|n| f64::from(output[n]) - f64::from(expected[n])));
        assert!(decibel(error / 5e7) < -55.0);
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            from in 4_000u32..50_000,
            to in 4_000u32..50_000,
            cuts in prop::collection::vec(0usize..700, 1..12),
        ) {
            let input = tone(440.0, from, cuts.iter().sum());
            let whole = convert(&input, from, to);
            let mut resampler = Resampler::new(rate(from), rate(to));
            let mut pieces = Vec::new();
            let mut rest = &input[..];
            for cut in cuts {
                let (chunk, after) = rest.split_at(cut);
                resampler.process(chunk, &mut pieces);
                rest = after;
            }
            resampler.flush(&mut pieces);
            prop_assert_eq!(&whole, &pieces);
            prop_assert_eq!(whole.len(), (input.len() * to as usize).div_ceil(from as usize));
        }
    }
}
