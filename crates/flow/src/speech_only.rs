//! Speech recognition that hears nothing but speech: [`SpeechOnly`].
//!
//! Recognisers write words where nobody speaks: they take forty seconds of silence for "You You You You" and noise for "Thank you for
//! watching." So audio in which nobody has looked for speech before passes voice activity detection first, and what it takes for no
//! speech reaches the engine as digital silence. Times stay what they are, and speech keeps what is round it.

mod gain;
mod passages;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use antiphon_core::{
    BoxStream, Result, SampleRate, Stream, Stt, SttInput, SttOptions, Transcript, Vad, VadStream,
    VoiceProbability,
};
use futures_util::StreamExt;

use self::gain::Gain;
use self::passages::Passages;

/// Audio that may wait, in samples: more is taken in when less waits. A file is read as fast as it is judged.
const MOST_WAITING: usize = 32_000;
/// Audio that the detector holds at a time, in samples: half a second. Detectors are made for calls, and drop what comes much faster than
/// it is judged.
const MOST_OFFERED: u64 = 16 * WINDOW as u64;
/// Samples that are judged together: 32 ms, which is Silero's only size.
const WINDOW: usize = 512;

/// A recogniser behind voice activity detection.
pub struct SpeechOnly {
    engine: Arc<dyn Stt>,
    vad: Arc<dyn Vad>,
}

impl SpeechOnly {
    /// Lets `engine` hear what `vad` takes for speech.
    pub fn new(engine: Arc<dyn Stt>, vad: Arc<dyn Vad>) -> Self {
        Self { engine, vad }
    }
}

impl Stt for SpeechOnly {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn only_language(&self) -> Option<&'static str> {
        self.engine.only_language()
    }

    fn transcribe(
        &self,
        options: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        if options.is_speech {
            return self.engine.transcribe(options, audio);
        }
        let (vad, judged) = self.vad.open();
        let sifted = Sifted {
            audio: Some(audio),
            vad: Some(vad),
            judged,
            is_judging: true,
            gain: Gain::default(),
            levels: VecDeque::new(),
            passages: Passages::default(),
            waiting: VecDeque::new(),
            passed: 0,
            offered: 0,
            skipped: 0,
            flush: false,
        };
        self.engine.transcribe(options, sifted.boxed())
    }
}

/// A stream of audio in which all that is no speech is silent.
struct Sifted {
    /// `None` after its end.
    audio: Option<BoxStream<'static, SttInput>>,
    /// `None` after the end of the audio.
    vad: Option<Box<dyn VadStream>>,
    judged: BoxStream<'static, VoiceProbability>,
    /// Whether judgements may still come.
    is_judging: bool,
    gain: Gain,
    /// How loud the windows are that are being judged.
    levels: VecDeque<f32>,
    passages: Passages,
    /// Samples that have not passed on.
    waiting: VecDeque<i16>,
    /// How many samples have passed on.
    passed: u64,
    /// Up to which sample the detector was given what there is.
    offered: u64,
    /// How many samples it was not given: flushes came before their window was full.
    skipped: u64,
    /// A flush waits until all audio before it has passed on.
    flush: bool,
}

impl Sifted {
    /// Takes in what was judged.
    fn poll_judged(&mut self, cx: &mut Context<'_>) {
        while self.is_judging {
            match self.judged.poll_next_unpin(cx) {
                Poll::Ready(Some(VoiceProbability { at, probability })) => {
                    let at = SampleRate::HZ_16000.samples_in(at.as_duration()) as u64 + self.skipped;
                    let level = self.levels.pop_front().unwrap_or_default();
                    self.passages.judged(at, probability, level);
                    self.offer();
                }
                Poll::Ready(None) => self.is_judging = false,
                Poll::Pending => return,
            }
        }
    }

    fn received(&self) -> u64 {
        self.passed + self.waiting.len() as u64
    }

    /// Whether all whole windows were judged.
    fn has_judged_all(&self) -> bool {
        self.levels.is_empty() && self.offered + WINDOW as u64 > self.received()
    }

    /// Up to which sample it is known what is speech.
    fn decided(&self) -> u64 {
        let received = self.received();
        // A detector that ends before its audio has failed: then all is heard.
        let is_over = !self.is_judging;
        if is_over || (self.flush && self.has_judged_all()) { received } else { self.passages.decided() }
    }

    /// The next samples that it is known of what they are.
    fn pass(&mut self, decided: u64) -> SttInput {
        let count = (decided - self.passed) as usize;
        let has_failed = !self.is_judging && self.vad.is_some();
        let (from, passages) = (self.passed, &mut self.passages);
        let samples: Arc<[i16]> = self
            .waiting
            .drain(..count)
            .enumerate()
            .map(|(at, sample)| if has_failed || passages.holds(from + at as u64) { sample } else { 0 })
            .collect();
        self.passed = decided;
        // Nothing is being judged when a part of a window passes.
        self.skipped += decided.saturating_sub(self.offered);
        self.offered = self.offered.max(decided);
        SttInput::Audio(samples)
    }

    /// Gives the detector the whole windows that it has room for.
    fn offer(&mut self) {
        let received = self.received();
        let Some(vad) = self.vad.as_mut().filter(|_| self.is_judging) else { return };
        let most = received.min(self.passages.judged_until() + MOST_OFFERED);
        let mut window = [0; WINDOW];
        while self.offered + WINDOW as u64 <= most {
            let from = (self.offered - self.passed) as usize;
            let samples = self.waiting.range(from..from + WINDOW);
            window.iter_mut().zip(samples).for_each(|(to, from)| *to = *from);
            self.levels.push_back(self.gain.apply(&mut window));
            vad.push(&window);
            self.offered += WINDOW as u64;
        }
        if self.audio.is_none() && self.offered + WINDOW as u64 > received {
            self.vad = None;
        }
    }
}

impl Stream for Sifted {
    type Item = SttInput;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SttInput>> {
        let this = &mut *self;
        loop {
            this.poll_judged(cx);
            this.offer();
            let decided = this.decided().min(this.received());
            if decided > this.passed {
                return Poll::Ready(Some(this.pass(decided)));
            }
            if this.waiting.is_empty() && std::mem::take(&mut this.flush) {
                return Poll::Ready(Some(SttInput::Flush));
            }
            let Some(audio) = &mut this.audio else {
                return if this.waiting.is_empty() { Poll::Ready(None) } else { Poll::Pending };
            };
            if this.flush || this.waiting.len() >= MOST_WAITING {
                return Poll::Pending;
            }
            match std::task::ready!(audio.poll_next_unpin(cx)) {
                Some(SttInput::Audio(samples)) => this.waiting.extend(&samples[..]),
                Some(SttInput::Flush) => this.flush = true,
                None => this.audio = None,
            }
        }
    }
}
