//! The interface of engines that turn texts into vectors of their meaning.

use crate::{BoxFuture, Priority, Result};

/// What describes an embedding engine; it stays the same. Decorators pass on that of the engine they wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbedCard<'a> {
    /// The engine's name, for logs and metrics.
    pub name: &'static str,
    /// The model's name, part of every cache key.
    pub model: &'a str,
    /// Length of each vector.
    pub dimensions: usize,
}

/// Turns texts into vectors whose cosine tells how close they are in meaning.
///
/// # Example
///
/// An embedder that only counts vowels and other characters:
///
/// ```
/// use antiphon_core::{BoxFuture, Embed, EmbedCard, Priority, Result};
/// use futures_util::FutureExt;
///
/// struct Vowels;
///
/// impl Embed for Vowels {
///     fn card(&self) -> EmbedCard<'_> {
///         EmbedCard { name: "vowels", model: "vowels-1", dimensions: 2 }
///     }
///
///     fn embed(&self, texts: Vec<String>, _: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
///         let vector = |text: &String| {
///             let vowels = text.chars().filter(|c| "aeiou".contains(*c)).count();
///             let counts = [vowels as f32, (text.chars().count() - vowels) as f32 + 1.0];
///             let length = counts[0].hypot(counts[1]);
///             counts.iter().map(|count| count / length).collect()
///         };
///         let vectors = texts.iter().map(vector).collect();
///         async move { Ok(vectors) }.boxed()
///     }
/// }
///
/// let vectors = Vowels.embed(vec!["aeiou".to_owned()], Priority::LiveTurn);
/// let vectors = vectors.now_or_never().expect("answers at once").expect("works");
/// assert_eq!(vectors[0].len(), Vowels.card().dimensions);
/// ```
pub trait Embed: Send + Sync {
    /// The engine's name, its model and the length of its vectors.
    fn card(&self) -> EmbedCard<'_>;

    /// One unit-length vector per text, in order. Texts longer than the model's window are cut.
    fn embed(&self, texts: Vec<String>, priority: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>>;

    /// How many tokens the model reads in a text. Engines that only their server can count for say four bytes a token, which
    /// is OpenAI's rule of thumb for English. It takes as long as reading the text: some milliseconds for a long one.
    fn tokens(&self, text: &str) -> u64 {
        text.len().div_ceil(4) as u64
    }
}
