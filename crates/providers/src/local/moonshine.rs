//! Moonshine: embedded speech recognition.
//!
//! The model transcribes a whole stretch of speech at once. To transcribe while somebody speaks, the stretch so far is
//! transcribed again whenever enough new speech has come. Long speech is cut at quiet places, and the text of what was
//! cut off is final. Runs of all calls that wait at the same moment form one batch.

mod model;
mod segment;
mod tokens;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use antiphon_core::{BoxFuture, BoxStream, Priority, Result, Stt, SttInput, SttOptions, Transcript};
use futures_util::{FutureExt, Stream, StreamExt};

use crate::local::onnx::{OnnxRuntime, existing};
use crate::pool::{ModelPool, Operation};
use model::Model;
use segment::Segments;
use tokens::Vocabulary;

/// Runs in one batch. Larger batches gain little (44, 31 and 27 ms a clip in batches of 1, 4 and 8)
/// and delay the first.
const MAX_BATCH: usize = 4;
/// New samples of speech after which the stretch is transcribed again for a partial transcript: half a second.
const PARTIAL_EVERY: usize = 8_000;

/// Turns clips, samples at 16 kHz, into their text.
type ClipTranscription = Operation<Arc<[i16]>, String>;

/// Moonshine, a speech recogniser that runs on the CPU.
pub struct Moonshine {
    run: ClipTranscription,
}

impl Moonshine {
    /// Opens the model's folder: `encoder_model.ort`, `decoder_model_merged.ort`, `tokenizer.bin`.
    pub fn open(runtime: &OnnxRuntime, pool: &ModelPool, folder: &Path) -> Result<Self> {
        let vocabulary = Arc::new(Vocabulary::read(&existing(&folder.join("tokenizer.bin"))?)?);
        let (runtime, folder) = (runtime.clone(), folder.to_owned());
        let open = move || Model::open(&runtime, &folder);
        let run = pool.operation(
            "moonshine",
            MAX_BATCH,
            open,
            move |model: &mut Model, clips: Vec<Arc<[i16]>>| {
                let tokens = model.transcribe(&clips)?;
                Ok(tokens.iter().map(|tokens| vocabulary.text(tokens)).collect())
            },
        )?;
        Ok(Self { run })
    }
}

impl Stt for Moonshine {
    fn name(&self) -> &'static str {
        "moonshine"
    }

    fn only_language(&self) -> Option<&'static str> {
        Some("en")
    }

    fn transcribe(
        &self,
        options: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        Listening {
            run: self.run.clone(),
            options,
            audio: Some(audio),
            segments: Segments::default(),
            running: None,
            flush: Flush::Answered,
        }
        .boxed()
    }
}

/// Why a clip is transcribed.
#[derive(Clone, Copy, PartialEq)]
enum Purpose {
    /// A partial transcript: more speech will follow.
    Partial,
    /// A flush asks for all text so far.
    Flush,
    /// The clip was cut off a long stretch.
    Cut,
}

/// Whether all text so far is asked for.
#[derive(Clone, Copy, PartialEq)]
enum Flush {
    /// No audio has come since the last answer.
    Answered,
    /// Audio has come since the last answer.
    Open,
    /// A flush or the end of the audio waits for an answer.
    Asked,
}

/// The transcription of one stream of audio.
struct Listening {
    run: ClipTranscription,
    options: SttOptions,
    /// `None` after its end.
    audio: Option<BoxStream<'static, SttInput>>,
    segments: Segments,
    /// The run in progress, with the length of its clip in samples.
    running: Option<(Purpose, usize, BoxFuture<'static, Result<String>>)>,
    flush: Flush,
}

impl Listening {
    /// Takes the input that is ready, up to the next flush.
    fn poll_audio(&mut self, cx: &mut Context<'_>) {
        while self.flush != Flush::Asked && !self.segments.is_full() {
            let Some(audio) = &mut self.audio else { return };
            match audio.poll_next_unpin(cx) {
                Poll::Ready(Some(SttInput::Audio(samples))) => {
                    self.segments.push(&samples);
                    self.flush = Flush::Open;
                }
                Poll::Ready(Some(SttInput::Flush)) => self.flush = Flush::Asked,
                Poll::Ready(None) => {
                    self.audio = None;
                    if self.flush == Flush::Open {
                        self.flush = Flush::Asked;
                    }
                }
                Poll::Pending => return,
            }
        }
    }

    /// Starts the next run: of what is to be cut off, of the answer to a flush, or of a partial transcript.
    fn start(&mut self) {
        if let Some((Purpose::Partial, ..)) = &self.running
            && (self.flush == Flush::Asked || self.segments.is_full())
            && !self.segments.is_read(self.running.as_ref().map_or(0, |r| r.1))
        {
            // Nobody waits for a partial transcript: it gives way to a run that somebody waits for.
            self.running = None;
        }
        if self.running.is_some() {
            return;
        }
        let urgency = self.options.urgency();
        let next = if self.segments.is_full() {
            Some((Purpose::Cut, urgency.max(Priority::Speculation), self.segments.cut()))
        } else if self.flush == Flush::Asked && !self.segments.is_settled() {
            Some((Purpose::Flush, urgency, self.segments.rest()))
        } else if self.options.wants_partials()
            && self.flush == Flush::Open
            && self.segments.unread() >= PARTIAL_EVERY
        {
            Some((Purpose::Partial, urgency.max(Priority::Extraction), self.segments.rest()))
        } else {
            None
        };
        if let Some((purpose, priority, clip)) = next {
            let length = clip.len();
            let text = self.run.run_unless_deferred(clip, priority, self.options.deferred.clone());
            self.running = Some((purpose, length, text));
        }
    }

    fn transcript(&self, flushed: bool) -> Transcript {
        Transcript {
            text: self.segments.text(),
            audio_ms: self.segments.total_ms(),
            flushed,
            segments: if flushed { self.segments.list() } else { Vec::new() },
        }
    }
}

impl Stream for Listening {
    type Item = Result<Transcript>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            this.poll_audio(cx);
            if this.running.is_none() && this.segments.settle_known() {
                // There is room for more audio again, which was not asked for while there was none.
                continue;
            }
            if this.flush == Flush::Asked && this.segments.is_settled() && this.running.is_none() {
                this.flush = Flush::Answered;
                return Poll::Ready(Some(Ok(this.transcript(true))));
            }
            if this.audio.is_none() && this.flush == Flush::Answered {
                return Poll::Ready(None);
            }
            this.start();
            let Some((purpose, length, run)) = &mut this.running else { return Poll::Pending };
            let (purpose, length) = (*purpose, *length);
            let text = std::task::ready!(run.poll_unpin(cx));
            this.running = None;
            match (purpose, text) {
                (Purpose::Cut, Ok(text)) => this.segments.settle_cut(text),
                (_, Ok(text)) => {
                    this.segments.read(length, text);
                    if purpose == Purpose::Partial && this.flush == Flush::Open {
                        return Poll::Ready(Some(Ok(this.transcript(false))));
                    }
                }
                // A partial transcript may fail: the text comes with the next run.
                (Purpose::Partial, Err(_)) => this.segments.skip_partial(),
                (Purpose::Cut | Purpose::Flush, Err(error)) => {
                    this.segments.give_up();
                    this.flush = Flush::Answered;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use antiphon_core::Requester;

    use super::*;

    fn open() -> (ModelPool, Moonshine) {
        let models = antiphon_testkit::models();
        let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
        let pool = ModelPool::new(1).expect("threads");
        let model = Moonshine::open(&runtime, &pool, &models.join("moonshine-tiny-en")).expect("opens");
        (pool, model)
    }

    fn inputs(samples: &[i16]) -> Vec<SttInput> {
        samples.chunks(1_600).map(|c| SttInput::Audio(c.into())).collect()
    }

    async fn transcribe(model: &Moonshine, inputs: Vec<SttInput>, partials: bool) -> Vec<Transcript> {
        let options = SttOptions { partials, ..SttOptions::new(Requester::local()) };
        model.transcribe(options, stream::iter(inputs).boxed()).map(|t| t.expect("works")).collect().await
    }

    #[tokio::test]
    async fn speech_becomes_text_as_often_as_it_is_asked_for() {
        let (_pool, model) = open();
        let samples = antiphon_testkit::wav16("read_speech/spk1_snt1.wav");
        let once = transcribe(&model, inputs(&samples), false).await;
        assert_eq!(once.len(), 1);
        assert!(once[0].text.to_lowercase().contains("the small dog"), "{}", once[0].text);
        assert_eq!(once[0].audio_ms, samples.len() as u64 / 16);

        let mut asked = inputs(&samples);
        asked.push(SttInput::Flush);
        asked.push(SttInput::Flush);
        let answers = transcribe(&model, asked, false).await;
        assert_eq!(answers.len(), 2, "one answer a flush, none for an end at which nothing is new");
        assert_eq!(answers[0].text, once[0].text);
        assert!(answers.iter().all(|t| t.flushed));
    }

    #[tokio::test]
    async fn silence_has_no_words() {
        let (_pool, model) = open();
        let answers = transcribe(&model, inputs(&vec![0; 32_000]), true).await;
        assert_eq!(answers.last().map(|t| t.text.as_str()), Some(""));
        assert_eq!(transcribe(&model, Vec::new(), true).await.len(), 0);
    }

    #[tokio::test]
    async fn a_sound_too_short_for_words_does_not_end_the_stream() {
        let (_pool, model) = open();
        let speech = antiphon_testkit::wav16("read_speech/spk1_snt1.wav");
        let mut input = vec![40_i16; 320];
        input.extend(vec![0; 3 * 16_000]);
        input.extend(&speech);
        let heard = transcribe(&model, inputs(&input), false);
        let heard = tokio::time::timeout(std::time::Duration::from_mins(1), heard).await.expect("ends");
        assert!(heard[0].text.to_lowercase().contains("the small dog"), "{}", heard[0].text);
    }

    #[tokio::test]
    async fn calls_at_the_same_time_hear_what_each_hears_alone() {
        let (_pool, model) = open();
        let clips = ["spk1_snt1", "spk1_snt2", "spk1_snt5"]
            .map(|n| antiphon_testkit::wav16(&format!("read_speech/{n}.wav")));
        let mut alone = Vec::new();
        for clip in &clips {
            alone.push(transcribe(&model, inputs(clip), false).await);
        }
        let together =
            futures_util::future::join_all(clips.iter().map(|c| transcribe(&model, inputs(c), false)));
        assert_eq!(together.await, alone);
    }
}
