//! The interface of voice activity detection.

use crate::{BoxStream, MediaTime};

/// How likely the audio up to `at` ends in speech.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoiceProbability {
    /// The end of the window judged, on the stream's own audio time line.
    pub at: MediaTime,
    /// How likely there is speech, from 0 to 1.
    pub probability: f32,
}

/// A detector shared by all calls.
///
/// # Example
///
/// A detector that takes every loud window of 32 ms for speech:
///
/// ```
/// use std::collections::VecDeque;
/// use std::sync::{Arc, Mutex};
/// use std::task::{Poll, Waker};
///
/// use antiphon_core::{BoxStream, MediaTime, SampleRate, Vad, VadStream, VoiceProbability};
/// use futures_util::{FutureExt, StreamExt, stream};
///
/// const WINDOW: usize = 512;
///
/// struct Loudness;
///
/// /// What is on its way from the input half to the output half.
/// #[derive(Default)]
/// struct Probabilities {
///     waiting: VecDeque<VoiceProbability>,
///     ended: bool,
///     waker: Option<Waker>,
/// }
///
/// impl Vad for Loudness {
///     fn name(&self) -> &'static str {
///         "loudness"
///     }
///
///     fn open(&self) -> (Box<dyn VadStream>, BoxStream<'static, VoiceProbability>) {
///         let shared = Arc::<Mutex<Probabilities>>::default();
///         let input = Input { window: Vec::new(), judged: 0, shared: shared.clone() };
///         let output = stream::poll_fn(move |cx| {
///             let mut shared = shared.lock().expect("no panic");
///             match shared.waiting.pop_front() {
///                 None if !shared.ended => {
///                     shared.waker = Some(cx.waker().clone());
///                     Poll::Pending
///                 }
///                 next => Poll::Ready(next),
///             }
///         });
///         (Box::new(input), output.boxed())
///     }
/// }
///
/// struct Input {
///     window: Vec<i16>,
///     judged: u64,
///     shared: Arc<Mutex<Probabilities>>,
/// }
///
/// impl Input {
///     fn update(&self, change: impl FnOnce(&mut Probabilities)) {
///         let mut shared = self.shared.lock().expect("no panic");
///         change(&mut shared);
///         shared.waker.take().into_iter().for_each(Waker::wake);
///     }
/// }
///
/// impl VadStream for Input {
///     fn push(&mut self, samples: &[i16]) {
///         for sample in samples {
///             self.window.push(*sample);
///             if self.window.len() == WINDOW {
///                 self.judged += WINDOW as u64;
///                 let at = MediaTime::from_samples(self.judged, SampleRate::HZ_16000);
///                 let loud = self.window.iter().any(|sample| sample.unsigned_abs() > 1_000);
///                 self.window.clear();
///                 let probability = if loud { 0.9 } else { 0.1 };
///                 self.update(|shared| shared.waiting.push_back(VoiceProbability { at, probability }));
///             }
///         }
///     }
/// }
///
/// impl Drop for Input {
///     fn drop(&mut self) {
///         self.update(|shared| shared.ended = true);
///     }
/// }
///
/// let (mut input, output) = Loudness.open();
/// input.push(&[0; WINDOW]);
/// drop(input);
/// let judged: Vec<_> = output.collect().now_or_never().expect("ended");
/// assert_eq!(judged[0].probability, 0.1);
/// ```
pub trait Vad: Send + Sync {
    /// The engine's name, for logs and metrics.
    fn name(&self) -> &'static str;

    /// Starts judging one call: audio goes into the first half, probabilities come out of the second.
    /// The output ends after the input half is dropped. Both halves dropped frees all state.
    fn open(&self) -> (Box<dyn VadStream>, BoxStream<'static, VoiceProbability>);
}

/// The input half of one call's detector.
///
/// # Example
///
/// A stream that only counts what it is given; [`Vad`] shows a whole detector:
///
/// ```
/// use antiphon_core::VadStream;
///
/// struct Counted(usize);
///
/// impl VadStream for Counted {
///     fn push(&mut self, samples: &[i16]) {
///         self.0 += samples.len();
///     }
/// }
///
/// let mut stream = Counted(0);
/// stream.push(&[0; 320]);
/// assert_eq!(stream.0, 320);
/// ```
pub trait VadStream: Send {
    /// Takes 16 kHz mono samples, any number. Never blocks and does not allocate per call once warm; a
    /// detector that cannot keep up drops the oldest windows and judges the newest.
    fn push(&mut self, samples: &[i16]);
}
