//! Semantic end of turn.

use std::sync::Arc;

use crate::{BoxFuture, Result};

/// Judges from the sound of the last seconds whether a person has finished.
pub trait TurnDetector: Send + Sync {
    /// The engine's name, for logs and metrics.
    fn name(&self) -> &'static str;

    /// The probability, 0 to 1, that the turn is complete. `audio` is 16 kHz mono that ends at the pause; at
    /// most the last 8 s are looked at. Ask only after speech was heard: silence alone scores high.
    fn complete(&self, audio: Arc<[i16]>) -> BoxFuture<'static, Result<f32>>;
}
