//! Audio as the pipeline carries it: signed 16-bit mono PCM, with its rate in the type.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The pipeline's frame: 20 ms, the packet length of telephony.
pub const FRAME: Duration = Duration::from_millis(20);
/// Samples in one [`FRAME`] at [`SampleRate::HZ_16000`], the rate every model hears.
pub const FRAME_SAMPLES: usize = 320;

/// Samples a second of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SampleRate(u32);

impl SampleRate {
    /// The rate of telephony with G.711.
    pub const HZ_8000: Self = Self(8_000);
    /// What VAD, turn detection and speech recognition hear.
    pub const HZ_16000: Self = Self(16_000);
    /// The rate of Piper's medium voices.
    pub const HZ_22050: Self = Self(22_050);
    /// The rate of OpenAI's Realtime interface and of Kokoro.
    pub const HZ_24000: Self = Self(24_000);
    /// The rate of Opus, and of most browsers and sound cards.
    pub const HZ_48000: Self = Self(48_000);

    /// `None` outside 4 to 384 kHz: no device or file of speech lies outside.
    pub const fn new(hz: u32) -> Option<Self> {
        if hz >= 4_000 && hz <= 384_000 { Some(Self(hz)) } else { None }
    }

    /// The rate in samples a second.
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// Whole samples in `span`, rounded down.
    pub const fn samples_in(self, span: Duration) -> usize {
        (span.as_micros() as u64 * self.0 as u64 / 1_000_000) as usize
    }

    /// How long `samples` of one channel last.
    pub const fn duration_of(self, samples: usize) -> Duration {
        Duration::from_nanos((samples as u128 * 1_000_000_000 / self.0 as u128) as u64)
    }
}

/// A run of mono PCM that can be shared without copying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioChunk {
    /// How many of the samples make a second.
    pub rate: SampleRate,
    /// Signed 16-bit samples, one channel.
    pub samples: Arc<[i16]>,
}

impl AudioChunk {
    /// Wraps samples taken at `rate`.
    pub fn new(rate: SampleRate, samples: impl Into<Arc<[i16]>>) -> Self {
        Self { rate, samples: samples.into() }
    }

    /// How long the chunk plays.
    pub fn duration(&self) -> Duration {
        self.rate.duration_of(self.samples.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_320_samples_at_16_khz() {
        assert_eq!(SampleRate::HZ_16000.samples_in(FRAME), FRAME_SAMPLES);
        assert_eq!(SampleRate::HZ_16000.duration_of(FRAME_SAMPLES), FRAME);
    }

    #[test]
    fn absurd_rates_are_refused() {
        assert_eq!(SampleRate::new(0), None);
        assert_eq!(SampleRate::new(1_000_000), None);
        assert_eq!(SampleRate::new(44_100).map(SampleRate::hz), Some(44_100));
    }
}
