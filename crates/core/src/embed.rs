//! Text embeddings.

use crate::{BoxFuture, Priority, Result};

/// Turns texts into vectors whose cosine tells how close they are in meaning.
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
