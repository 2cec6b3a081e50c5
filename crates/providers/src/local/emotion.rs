//! Recognises how a person feels from their words: a small network over the embedding of the sentence and its words.
//!
//! Trained on GoEmotions (Demszky et al. 2020) by `make emotion-model`; `docs/emotion.md` describes the
//! training, how good the answers are, and what the model cannot know.

pub mod features;
pub mod head;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use antiphon_core::measure::{Component, Counter, Stage};
use antiphon_core::{
    BoxFuture, Embed, EmbedCard, Emotion, EmotionClassifier, EmotionScores, Error, Priority, Result,
};
use futures_util::FutureExt;

use head::{DIMENSIONS, Head};

/// The lowest probability at which an emotion other than neutral may be mentioned to the language model. `make
/// emotion-model` measured how many texts reach it and how many of those are right: 27 % and 92 % of GoEmotions' dev
/// rows, 13 % and 50 % of TV dialogue. Of customers' questions, which show no feeling, 0.2 % reach it (61 % would be
/// mentioned without a threshold).
pub const CONFIDENT: f32 = 0.8;
/// The embedding model that it was trained on.
pub const EMBEDDER: &str = "all-MiniLM-L6-v2";
/// Longer texts are cut, at about the length at which the embedder cuts them (256 tokens).
const MAX_CHARS: usize = 1_000;
/// The largest squared length of a vector of length one, with rounding errors.
const MAX_SQUARED_LENGTH: f32 = 1.01;
/// The weights that `make emotion-model` trained; their licence is `assets/emotion/LICENSE`.
const WEIGHTS: &[u8] = include_bytes!("../../assets/emotion/weights.bin");

/// The emotion classifier. Clones share its weights and counters.
#[derive(Clone)]
pub struct EmotionModel {
    embed: Arc<dyn Embed>,
    shared: Arc<Shared>,
}

struct Shared {
    head: Head,
    /// Time from request to answer, including the embedding.
    classify: Stage,
    /// How often each of [`Emotion::ALL`] was the likeliest.
    likeliest: [AtomicU64; Emotion::ALL.len()],
}

impl EmotionModel {
    /// A classifier over the embedder's vectors; refuses an embedder other than [`EMBEDDER`], whose vectors would
    /// mean something else.
    pub fn new(embed: Arc<dyn Embed>) -> Result<Self> {
        let EmbedCard { model, dimensions, .. } = embed.card();
        if model != EMBEDDER || dimensions != DIMENSIONS {
            return Err(Error::invalid(format!(
                "emotion was trained on vectors of {EMBEDDER} ({DIMENSIONS} long), not of {model:?} ({dimensions} \
                 long): give it the embedded embedder, or leave emotion out"
            )));
        }
        let head = Head::parse(WEIGHTS)?;
        let shared = Shared { head, classify: Stage::new("classify"), likeliest: Default::default() };
        Ok(Self { embed, shared: Arc::new(shared) })
    }
}

impl EmotionClassifier for EmotionModel {
    fn name(&self) -> &'static str {
        "emotion"
    }

    fn confidence(&self) -> f32 {
        CONFIDENT
    }

    fn classify(&self, text: String, priority: Priority) -> BoxFuture<'static, Result<EmotionScores>> {
        let Self { embed, shared } = self.clone();
        async move {
            #[expect(clippy::disallowed_methods, reason = "measures the model, whose work takes real time")]
            let began = Instant::now();
            let scores = shared.scores(&*embed, text, priority).await;
            shared.classify.record(began.elapsed());
            match &scores {
                Ok(scores) => {
                    shared.likeliest[scores.top().0 as usize].fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => shared.classify.fail(),
            }
            scores
        }
        .boxed()
    }
}

impl Shared {
    async fn scores(&self, embed: &dyn Embed, mut text: String, priority: Priority) -> Result<EmotionScores> {
        if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
            text.truncate(end);
        }
        if text.trim().is_empty() {
            return Ok(EmotionScores(Emotion::ALL.map(|emotion| f32::from(emotion == Emotion::Neutral))));
        }
        let vectors = embed.embed(vec![text.clone()], priority).await?;
        let vector = vectors.first().map_or(&[][..], Vec::as_slice);
        let squared_length: f32 = vector.iter().map(|x| x * x).sum();
        // `contains` is false for NaN, which is refused as well.
        if vector.len() != DIMENSIONS || !(0.0..=MAX_SQUARED_LENGTH).contains(&squared_length) {
            return Err(Error::internal(format!(
                "{} answered a vector {} long of squared length {squared_length} where one of {DIMENSIONS} numbers and \
                 length 1 was due",
                embed.card().model,
                vector.len()
            )));
        }
        Ok(self.head.scores(vector, &text))
    }
}

impl Component for EmotionModel {
    fn name(&self) -> &'static str {
        "emotion"
    }

    fn stages(&self) -> Vec<&Stage> {
        vec![&self.shared.classify]
    }

    fn counters(&self) -> Vec<Counter> {
        let counts = self.shared.likeliest.iter().map(|count| count.load(Ordering::Relaxed));
        let counts = Emotion::ALL.iter().zip(counts);
        counts.map(|(emotion, value)| Counter::new(emotion.label(), value)).collect()
    }
}
