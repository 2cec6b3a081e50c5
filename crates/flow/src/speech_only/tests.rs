use std::sync::Mutex;
use std::time::Duration;

use antiphon_core::{MediaTime, Requester, lock};
use futures_util::stream;
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;

const SECOND: usize = 16_000;

/// A detector to which loud windows are speech. It ends after so many windows.
struct Loudness {
    windows: usize,
}

struct Input {
    window: Vec<i16>,
    judged: u64,
    left: usize,
    output: Option<mpsc::UnboundedSender<VoiceProbability>>,
}

impl Vad for Loudness {
    fn name(&self) -> &'static str {
        "loudness"
    }

    fn open(&self) -> (Box<dyn VadStream>, BoxStream<'static, VoiceProbability>) {
        let (output, mut judged) = mpsc::unbounded_channel();
        let input = Input { window: Vec::new(), judged: 0, left: self.windows, output: Some(output) };
        (Box::new(input), stream::poll_fn(move |cx| judged.poll_recv(cx)).boxed())
    }
}

impl VadStream for Input {
    fn push(&mut self, samples: &[i16]) {
        assert!(samples.len() as u64 <= MOST_OFFERED, "more than it can hold");
        for sample in samples {
            self.window.push(*sample);
            if self.window.len() < WINDOW {
                continue;
            }
            self.judged += WINDOW as u64;
            let loud = self.window.iter().any(|sample| sample.unsigned_abs() > 1_000);
            self.window.clear();
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                self.output = None;
            }
            if let Some(output) = &self.output {
                let at = MediaTime::from_samples(self.judged, SampleRate::HZ_16000);
                let _ = output.send(VoiceProbability { at, probability: if loud { 0.9 } else { 0.1 } });
            }
        }
    }
}

/// An engine that remembers what it hears; a flush is a `None`.
#[derive(Default)]
struct Ear(Arc<Mutex<Vec<Option<i16>>>>);

impl Stt for Ear {
    fn name(&self) -> &'static str {
        "ear"
    }

    fn transcribe(
        &self,
        _: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        let heard = self.0.clone();
        audio
            .map(move |input| {
                match input {
                    SttInput::Audio(samples) => lock(&heard).extend(samples.iter().copied().map(Some)),
                    SttInput::Flush => lock(&heard).push(None),
                }
                Ok(Transcript::default())
            })
            .boxed()
    }
}

/// What the engine hears of these inputs.
async fn heard(inputs: Vec<SttInput>, windows: usize, is_speech: bool) -> Vec<Option<i16>> {
    let ear = Arc::new(Ear::default());
    let heard = ear.0.clone();
    let options = SttOptions { is_speech, ..SttOptions::new(Requester::local()) };
    let engine = SpeechOnly::new(ear, Arc::new(Loudness { windows }));
    let answers = engine.transcribe(options, stream::iter(inputs).boxed());
    let all = answers.for_each(|answer| async { drop(answer.expect("works")) });
    // In virtual time: an hour is over at once when nothing goes on.
    tokio::time::timeout(Duration::from_hours(1), all).await.expect("it ends");
    lock(&heard).clone()
}

/// Three seconds of noise, half a second of speech and three seconds of noise.
fn said() -> Vec<i16> {
    [vec![30; 3 * SECOND], vec![3_000; SECOND / 2], vec![30; 3 * SECOND]].concat()
}

fn pieces(samples: &[i16], length: usize) -> Vec<SttInput> {
    samples.chunks(length).map(|piece| SttInput::Audio(piece.into())).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_no_speech_is_silent_and_times_stay() {
    for length in [160, 5_000, 100_000] {
        let samples: Vec<i16> =
            heard(pieces(&said(), length), usize::MAX, false).await.into_iter().flatten().collect();
        assert_eq!(samples.len(), said().len());
        assert_eq!(
            samples[2 * SECOND..4 * SECOND],
            said()[2 * SECOND..4 * SECOND],
            "what is round it as well"
        );
        assert!(samples[..SECOND].iter().chain(&samples[5 * SECOND..]).all(|sample| *sample == 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_comes_behind_all_audio_before_it_and_ends_nothing() {
    let mut inputs = pieces(&said()[..SECOND * 3 / 2], 320);
    inputs.push(SttInput::Flush);
    inputs.extend(pieces(&said()[SECOND * 3 / 2..], 320));
    let heard = heard(inputs, usize::MAX, false).await;
    assert_eq!(heard.iter().position(Option::is_none), Some(SECOND * 3 / 2));
    assert_eq!(heard.len(), said().len() + 1);
}

#[tokio::test(start_paused = true)]
async fn flushes_within_a_window_shift_nothing_and_stop_nothing() {
    let mut inputs = Vec::new();
    for piece in pieces(&said(), 300) {
        inputs.extend([piece, SttInput::Flush]);
    }
    let heard: Vec<Option<i16>> = heard(inputs, usize::MAX, false).await;
    assert_eq!(heard.iter().filter(|input| input.is_none()).count(), said().len().div_ceil(300));
    let samples: Vec<i16> = heard.into_iter().flatten().collect();
    assert_eq!(samples.len(), said().len());
}

#[tokio::test(start_paused = true)]
async fn speech_that_was_found_before_passes_at_once() {
    let samples: Vec<i16> =
        heard(pieces(&said(), 320), usize::MAX, true).await.into_iter().flatten().collect();
    assert_eq!(samples, said());
}

#[tokio::test(start_paused = true)]
async fn a_detector_that_fails_silences_nobody() {
    let samples: Vec<i16> = heard(pieces(&said(), 320), 5, false).await.into_iter().flatten().collect();
    assert_eq!(samples.len(), said().len());
    assert_eq!(samples[SECOND..], said()[SECOND..]);
}

proptest! {
    #[test]
    fn nothing_is_lost_or_added_however_it_is_cut(
        parts in proptest::collection::vec((0_usize..9_000, any::<bool>(), any::<bool>()), 0..12),
    ) {
        let mut inputs = Vec::new();
        let mut expected = Vec::new();
        for (length, loud, flush) in parts {
            inputs.push(SttInput::Audio(vec![if loud { 3_000 } else { 30 }; length].into()));
            expected.push(length);
            if flush {
                inputs.push(SttInput::Flush);
            }
        }
        let flushes = inputs.iter().filter(|input| matches!(input, SttInput::Flush)).count();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let heard = runtime.block_on(heard(inputs, usize::MAX, false));
        prop_assert_eq!(heard.iter().flatten().count(), expected.iter().sum::<usize>());
        prop_assert_eq!(heard.iter().filter(|input| input.is_none()).count(), flushes);
    }
}
