//! What the agent hears: the latest audio, and the utterance being transcribed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{
    BoxStream, ItemId, MediaTime, Result, SampleRate, Stt, SttInput, SttOptions, Transcript,
};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

/// Audio goes to speech recognition in pieces of 100 ms: engines re-read no more often, and a call costs ten
/// hand-overs a second instead of fifty.
const PIECE: usize = 1_600;
/// Pieces under way to an engine, at most: 20 s. Beyond it nothing more is received.
const MAX_PIECES: usize = 200;
/// Speech is noticed at most this long after it began: what must last before it counts, and what is received
/// but not judged.
const NOTICED_WITHIN: Duration = Duration::from_millis(400);
/// What the turn detector looks at.
const TURN_WINDOW: usize = 8 * 16_000;

/// The latest audio and the utterance in it.
pub(crate) struct Ear {
    /// The latest audio: the padding, and while a person speaks the turn detector's window.
    recent: VecDeque<i16>,
    /// What is kept while nobody speaks: speech is noticed some time after it began.
    kept: usize,
    keeps_turn_window: bool,
    /// Samples received in all.
    received: u64,
    utterance: Option<Utterance>,
}

/// What somebody is saying.
pub(crate) struct Utterance {
    /// The message it will be.
    pub(crate) item: ItemId,
    /// Understood so far.
    pub(crate) text: String,
    /// `text` covers all speech up to the pause.
    pub(crate) settled: bool,
    /// How much audio it covers.
    pub(crate) audio: Duration,
    input: mpsc::Sender<SttInput>,
    pending: Vec<i16>,
    /// Flushes asked for and not yet answered.
    flushes: u32,
    /// In a pause, audio is kept back: if the person does not go on, nothing has to be read again.
    paused: bool,
    recognition: Recognition,
    samples: u64,
}

/// Whether the engine gives more transcripts of an utterance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recognition {
    GoesOn,
    Ended,
    Failed,
}

/// One utterance's transcripts as they come; `None` when no more will.
pub(crate) type Transcripts = BoxStream<'static, (ItemId, Option<Result<Transcript>>)>;

impl Ear {
    /// Keeps `padding` of audio from before speech begins.
    pub(crate) fn new(padding: Duration, keeps_turn_window: bool) -> Self {
        let mut ear =
            Self { recent: VecDeque::new(), kept: 0, keeps_turn_window, received: 0, utterance: None };
        ear.set_padding(padding);
        ear
    }

    /// Changes the padding from now on.
    pub(crate) fn set_padding(&mut self, padding: Duration) {
        self.kept = SampleRate::HZ_16000.samples_in(padding + NOTICED_WITHIN);
    }

    /// Whether speech recognition keeps up with what is heard.
    pub(crate) fn has_room(&self) -> bool {
        self.utterance.as_ref().is_none_or(|utterance| utterance.input.capacity() > 1)
    }

    /// The utterance being heard.
    pub(crate) fn utterance(&mut self) -> Option<&mut Utterance> {
        self.utterance.as_mut()
    }

    /// How much audio was received.
    pub(crate) fn received(&self) -> MediaTime {
        MediaTime::from_samples(self.received, SampleRate::HZ_16000)
    }

    /// More audio.
    pub(crate) fn hear(&mut self, samples: &[i16]) {
        self.received += samples.len() as u64;
        self.recent.extend(samples);
        let keep = match &self.utterance {
            Some(_) if self.keeps_turn_window => TURN_WINDOW.max(self.kept),
            _ => self.kept,
        };
        let excess = self.recent.len().saturating_sub(keep);
        self.recent.drain(..excess);
        if let Some(utterance) = &mut self.utterance {
            utterance.hear(samples);
        }
    }

    /// Transcribes from `at` of the audio received, as far back as it is kept.
    pub(crate) fn begin(
        &mut self,
        stt: &dyn Stt,
        options: SttOptions,
        item: ItemId,
        at: MediaTime,
    ) -> Transcripts {
        let since = SampleRate::HZ_16000.samples_in(self.received().since(at));
        let from = self.recent.len().saturating_sub(since);
        let pending: Vec<i16> = self.recent.range(from..).copied().collect();
        let (utterance, transcripts) = Utterance::begin(stt, options, item, pending);
        self.utterance = Some(utterance);
        transcripts
    }

    /// The utterance is over, or forgotten: its input ends when it is dropped.
    pub(crate) fn end(&mut self) -> Option<Utterance> {
        let excess = self.recent.len().saturating_sub(self.kept);
        self.recent.drain(..excess);
        self.recent.shrink_to(2 * self.kept);
        self.utterance.take()
    }

    /// The audio of the last 8 s at most, for the turn detector.
    pub(crate) fn turn_window(&self) -> Arc<[i16]> {
        self.recent.iter().copied().collect()
    }
}

impl Utterance {
    /// An utterance that begins with `pending`.
    pub(crate) fn begin(
        stt: &dyn Stt,
        options: SttOptions,
        item: ItemId,
        pending: Vec<i16>,
    ) -> (Self, Transcripts) {
        let (input, mut output) = mpsc::channel(MAX_PIECES);
        let audio = stream::poll_fn(move |cx| output.poll_recv(cx)).boxed();
        let mut utterance = Self {
            item: item.clone(),
            text: String::new(),
            settled: false,
            audio: Duration::ZERO,
            input,
            samples: pending.len() as u64,
            pending,
            flushes: 0,
            paused: false,
            recognition: Recognition::GoesOn,
        };
        utterance.forward();
        let id = item.clone();
        let transcripts = stt
            .transcribe(options, audio)
            .map(move |transcript| (id.clone(), Some(transcript)))
            .chain(stream::once(async move { (item, None) }))
            .boxed();
        (utterance, transcripts)
    }

    /// Speech paused: asks for all text so far.
    pub(crate) fn pause(&mut self) {
        self.forward();
        self.send(SttInput::Flush);
        self.flushes += 1;
        self.paused = true;
    }

    /// Takes a transcript; true when it covers all that was said up to the pause.
    pub(crate) fn understand(&mut self, transcript: Transcript) -> bool {
        self.text = transcript.text;
        self.audio = Duration::from_millis(transcript.audio_ms);
        if transcript.flushed {
            self.flushes = self.flushes.saturating_sub(1);
        }
        self.settled = self.paused && transcript.flushed && self.flushes == 0;
        self.settled
    }

    /// Speech goes on.
    pub(crate) fn resume(&mut self) {
        self.paused = false;
        self.settled = false;
        self.forward();
    }

    /// The engine gives no more transcripts; one that has failed ends as well.
    pub(crate) fn end(&mut self) {
        if self.recognition == Recognition::GoesOn {
            self.recognition = Recognition::Ended;
        }
    }

    /// The engine has failed: it gives no more transcripts.
    pub(crate) fn fail(&mut self) {
        self.recognition = Recognition::Failed;
    }

    /// Whether no more transcripts come.
    pub(crate) fn has_ended(&self) -> bool {
        self.recognition != Recognition::GoesOn
    }

    /// Whether something was said of which not a word is known, because the engine failed.
    pub(crate) fn is_unheard(&self) -> bool {
        self.recognition == Recognition::Failed && self.text.trim().is_empty()
    }

    /// Whether all text so far was asked for and nothing was said since.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// How much audio it has.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_micros(self.samples * 1_000 / 16)
    }

    fn hear(&mut self, samples: &[i16]) {
        self.samples += samples.len() as u64;
        self.pending.extend_from_slice(samples);
        if !self.paused && self.pending.len() >= PIECE {
            self.forward();
        }
    }

    fn forward(&mut self) {
        if !self.pending.is_empty() {
            let piece = std::mem::take(&mut self.pending);
            self.pending.reserve(PIECE);
            self.send(SttInput::Audio(piece.into()));
        }
    }

    /// The session receives no more while there is no room, so this fails only when the engine has ended.
    fn send(&self, input: SttInput) {
        if self.input.try_send(input).is_err() {
            tracing::warn!(item = %self.item, "speech recognition has ended");
        }
    }
}
