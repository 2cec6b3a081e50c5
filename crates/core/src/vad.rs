//! Voice activity detection.

use crate::{BoxStream, MediaTime};

/// How likely the audio up to `at` ends in speech.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoiceProbability {
    /// The end of the window judged, on the stream's own audio time line.
    pub at: MediaTime,
    /// 0 to 1.
    pub probability: f32,
}

/// A detector shared by all calls.
pub trait Vad: Send + Sync {
    /// The engine's name, for logs and metrics.
    fn name(&self) -> &'static str;

    /// Starts judging one call: audio goes into the first half, probabilities come out of the second.
    /// The output ends after the input half is dropped. Both halves dropped frees all state.
    fn open(&self) -> (Box<dyn VadStream>, BoxStream<'static, VoiceProbability>);
}

/// The input half of one call's detector.
pub trait VadStream: Send {
    /// Takes 16 kHz mono samples, any number. Never blocks and does not allocate per call once warm; a
    /// detector that cannot keep up drops the oldest windows and judges the newest.
    fn push(&mut self, samples: &[i16]);
}
