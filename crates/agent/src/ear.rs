//! What the agent hears: the latest audio, and the utterance that is being transcribed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{
    BoxStream, Deferred, ItemId, MediaTime, Result, SampleRate, Stt, SttInput, SttOptions, Transcript,
};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

/// Audio goes to speech recognition in pieces of 100 ms. Engines process it no more often, and a call then needs only
/// ten hand-overs a second instead of fifty.
const PIECE: usize = 1_600;
/// Most pieces that wait for an engine: 20 s. While there are that many, no more audio is received.
const MAX_PIECES: usize = 200;
/// Speech is noticed at most this long after its beginning. It consists of the time that speech must last before it
/// counts, and of the audio that is received but not judged yet.
const NOTICED_WITHIN: Duration = Duration::from_millis(400);
/// How much audio the turn detector examines: 8 s at 16 kHz.
const TURN_WINDOW: usize = 8 * 16_000;

/// The latest audio, and the utterance in it if there is one.
pub(crate) struct Ear {
    /// The latest audio: the padding, and while a person speaks also the turn detector's window.
    recent: VecDeque<i16>,
    /// How many samples are kept while nobody speaks, because speech is noticed only some time after its beginning.
    kept: usize,
    keeps_turn_window: bool,
    /// How many samples have been received in total.
    received: u64,
    utterance: Option<Utterance>,
}

/// The speech of a person while it is being transcribed.
pub(crate) struct Utterance {
    /// The message that the utterance will become.
    pub(crate) item: ItemId,
    /// The text recognized so far.
    pub(crate) text: String,
    /// Whether `text` covers all speech up to the pause.
    pub(crate) settled: bool,
    /// How much audio the utterance has.
    pub(crate) audio: Duration,
    input: mpsc::Sender<SttInput>,
    pending: Vec<i16>,
    /// How many flushes were requested and not yet answered.
    flushes: u32,
    /// Whether speech has paused. Audio is then held back: if the person does not go on, the engine need not
    /// process it.
    paused: bool,
    recognition: Recognition,
    samples: u64,
    /// Tells speech recognition that nobody waits in silence.
    deferred: Deferred,
}

/// Whether the engine will return more transcripts of an utterance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recognition {
    GoesOn,
    Ended,
    Failed,
}

/// The transcripts of one utterance. `None` means that no more will come.
pub(crate) type Transcripts = BoxStream<'static, (ItemId, Option<Result<Transcript>>)>;

impl Ear {
    /// `padding` is how much audio from before the beginning of speech is kept.
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

    /// Whether speech recognition keeps up with the received audio.
    pub(crate) fn has_room(&self) -> bool {
        self.utterance.as_ref().is_none_or(|utterance| utterance.input.capacity() > 1)
    }

    /// The utterance that is being heard.
    pub(crate) fn utterance(&mut self) -> Option<&mut Utterance> {
        self.utterance.as_mut()
    }

    /// How much audio has been received.
    pub(crate) fn received(&self) -> MediaTime {
        MediaTime::from_samples(self.received, SampleRate::HZ_16000)
    }

    /// Whether what is heard has turned out to be a recording that goes on: nobody waits in silence for its words.
    pub(crate) fn defer(&mut self, is_recorded: bool) {
        if let Some(utterance) = &self.utterance {
            utterance.defer(is_recorded);
        }
    }

    /// Takes in more audio.
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

    /// Begins to transcribe at the position `at` of the received audio, as far back as it is kept.
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

    /// Ends the utterance and returns it. The engine's input ends when the utterance is dropped.
    pub(crate) fn end(&mut self) -> Option<Utterance> {
        let excess = self.recent.len().saturating_sub(self.kept);
        self.recent.drain(..excess);
        self.recent.shrink_to(2 * self.kept);
        self.utterance.take()
    }

    /// The last 8 s of audio at most, for the turn detector.
    pub(crate) fn turn_window(&self) -> Arc<[i16]> {
        self.recent.iter().copied().collect()
    }
}

impl Utterance {
    /// How many samples wait for the engine to accept them.
    pub(crate) fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// Begins an utterance with the audio in `pending`.
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
            deferred: options.deferred.clone(),
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

    /// Speech has paused: requests the text of all audio so far. Nobody waits in silence for that of a recording that goes on.
    pub(crate) fn pause(&mut self, is_recorded: bool) {
        self.defer(is_recorded);
        self.forward();
        self.send(SttInput::Flush);
        self.flushes += 1;
        self.paused = true;
    }

    /// Whether it turned out to be part of a recording that goes on.
    pub(crate) fn defer(&self, is_recorded: bool) {
        self.deferred.set(is_recorded);
    }

    /// Takes in a transcript. Returns true when it covers all that was said up to the pause.
    pub(crate) fn understand(&mut self, transcript: Transcript) -> bool {
        self.text = transcript.text;
        self.audio = Duration::from_millis(transcript.audio_ms);
        if transcript.flushed {
            self.flushes = self.flushes.saturating_sub(1);
        }
        self.settled = self.paused && transcript.flushed && self.flushes == 0;
        self.settled
    }

    /// Speech continues after a pause.
    pub(crate) fn resume(&mut self) {
        self.paused = false;
        self.settled = false;
        if self.recognition == Recognition::Failed && !self.input.is_closed() {
            // The engine goes on after an error: it may understand what is said now.
            (self.recognition, self.flushes) = (Recognition::GoesOn, 0);
        }
        self.forward();
    }

    /// The engine will return no more transcripts; one that has failed ends as well.
    pub(crate) fn end(&mut self) {
        if self.recognition == Recognition::GoesOn {
            self.recognition = Recognition::Ended;
        }
    }

    /// The engine has failed and will return no more transcripts.
    pub(crate) fn fail(&mut self) {
        self.recognition = Recognition::Failed;
    }

    /// Whether no more transcripts come.
    pub(crate) fn has_ended(&self) -> bool {
        self.recognition != Recognition::GoesOn
    }

    /// Whether something was said of which no word is known, because the engine failed.
    pub(crate) fn is_unheard(&self) -> bool {
        self.recognition == Recognition::Failed && self.text.trim().is_empty()
    }

    /// Whether the text of all audio was requested and nothing has been said since.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// The length of its audio.
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

    /// This fails only when the engine has ended, since the session receives no audio while there is no room.
    fn send(&self, input: SttInput) {
        if self.input.try_send(input).is_err() {
            tracing::warn!(item = %self.item, "speech recognition has ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use antiphon_core::{Priority, Requester};

    use super::*;

    /// A recogniser that answers nothing, and keeps what it was told.
    #[derive(Default)]
    struct Told(Mutex<Option<SttOptions>>);

    impl Stt for Told {
        fn name(&self) -> &'static str {
            "told"
        }

        fn transcribe(
            &self,
            options: SttOptions,
            _: BoxStream<'static, SttInput>,
        ) -> BoxStream<'static, Result<Transcript>> {
            *self.0.lock().expect("not poisoned") = Some(options);
            stream::pending().boxed()
        }
    }

    #[test]
    fn a_recording_gives_way_in_the_middle_of_a_sentence() {
        let (mut ear, told) = (Ear::new(Duration::ZERO, false), Told::default());
        ear.defer(true);
        let options = SttOptions { partials: true, ..SttOptions::new(Requester::local()) };
        let _transcripts = ear.begin(&told, options, ItemId::new("item_1".to_owned()), ear.received());
        let options = told.0.lock().expect("not poisoned").clone().expect("asked");
        assert_eq!(
            (options.urgency(), options.wants_partials()),
            (Priority::LiveTurn, true),
            "nothing is known yet"
        );
        ear.defer(true);
        assert_eq!((options.urgency(), options.wants_partials()), (Priority::Interactive, false));
        ear.utterance().expect("begun").pause(false);
        assert_eq!(options.urgency(), Priority::LiveTurn, "it is over, and somebody waits for the answer");
    }
}
