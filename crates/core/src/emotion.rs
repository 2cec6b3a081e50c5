//! How a person feels, as far as their words tell.

use serde::{Deserialize, Serialize};

use crate::{BoxFuture, Priority, Result};

/// Ekman's six basic emotions, and none of them (Demszky et al. 2020, "GoEmotions", group 27 finer ones so).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Emotion {
    /// From annoyed to furious.
    Anger,
    /// The person is revolted.
    Disgust,
    /// From nervous to terrified.
    Fear,
    /// Pleased, grateful, amused, loving.
    Joy,
    /// None of the others.
    #[default]
    Neutral,
    /// From disappointed to grieving.
    Sadness,
    /// Surprised, curious or confused.
    Surprise,
}

impl Emotion {
    /// All of them, in the order of their scores.
    pub const ALL: [Self; 7] =
        [Self::Anger, Self::Disgust, Self::Fear, Self::Joy, Self::Neutral, Self::Sadness, Self::Surprise];

    /// In prompts, metrics and events.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Anger => "anger",
            Self::Disgust => "disgust",
            Self::Fear => "fear",
            Self::Joy => "joy",
            Self::Neutral => "neutral",
            Self::Sadness => "sadness",
            Self::Surprise => "surprise",
        }
    }
}

/// What a text seems to tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EmotionScores(
    /// A probability for each of [`Emotion::ALL`]; they sum to 1.
    pub [f32; 7],
);

impl EmotionScores {
    /// The likeliest emotion and its probability.
    pub fn top(&self) -> (Emotion, f32) {
        let best = (0..self.0.len()).max_by(|a, b| self.0[*a].total_cmp(&self.0[*b])).unwrap_or(0);
        (Emotion::ALL[best], self.0[best])
    }
}

/// A classifier shared by all calls.
///
/// # Example
///
/// A classifier that recognises joy by one word:
///
/// ```
/// use antiphon_core::{BoxFuture, Emotion, EmotionClassifier, EmotionScores, Priority, Result};
/// use futures_util::FutureExt;
///
/// struct Thanks;
///
/// impl EmotionClassifier for Thanks {
///     fn name(&self) -> &'static str {
///         "thanks"
///     }
///
///     fn confidence(&self) -> f32 {
///         0.8
///     }
///
///     fn classify(&self, text: String, _: Priority) -> BoxFuture<'static, Result<EmotionScores>> {
///         let felt = if text.contains("thanks") { Emotion::Joy } else { Emotion::Neutral };
///         let scores = Emotion::ALL.map(|emotion| if emotion == felt { 1.0 } else { 0.0 });
///         async move { Ok(EmotionScores(scores)) }.boxed()
///     }
/// }
///
/// let scores = Thanks.classify("many thanks".to_owned(), Priority::LiveTurn).now_or_never();
/// assert_eq!(scores.expect("answers at once").expect("works").top().0, Emotion::Joy);
/// ```
pub trait EmotionClassifier: Send + Sync {
    /// The engine's name, for logs and metrics.
    fn name(&self) -> &'static str;

    /// How sure it must be of an emotion for that to be acted on, 0 to 1.
    fn confidence(&self) -> f32;

    /// What the person's words tell of how they feel.
    fn classify(&self, text: String, priority: Priority) -> BoxFuture<'static, Result<EmotionScores>>;
}
