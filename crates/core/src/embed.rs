//! Text embeddings.

use crate::{BoxFuture, Priority, Result};

/// Turns texts into vectors whose cosine tells how close they are in meaning.
///
/// # Example
///
/// An embedder that only counts vowels and other characters:
///
/// ```
/// use antiphon_core::{BoxFuture, Embed, Priority, Result};
/// use futures_util::FutureExt;
///
/// struct Vowels;
///
/// impl Embed for Vowels {
///     fn name(&self) -> &'static str {
///         "vowels"
///     }
///
///     fn model(&self) -> &str {
///         "vowels-1"
///     }
///
///     fn dimensions(&self) -> usize {
///         2
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
/// assert_eq!(vectors[0].len(), Vowels.dimensions());
/// ```
pub trait Embed: Send + Sync {
    /// The engine's name, for logs and metrics.
    fn name(&self) -> &'static str;

    /// The model's name, part of every cache key.
    fn model(&self) -> &str;

    /// Length of each vector.
    fn dimensions(&self) -> usize;

    /// One unit-length vector per text, in order. Texts longer than the model's window are cut.
    fn embed(&self, texts: Vec<String>, priority: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>>;
}
