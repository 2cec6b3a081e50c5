//! Semantic end of turn.

use std::sync::Arc;

use crate::{BoxFuture, Priority, Result};

/// Judges from the sound of the last seconds whether a person has finished.
///
/// # Example
///
/// A detector that considers every turn complete at the first pause:
///
/// ```
/// use std::sync::Arc;
///
/// use antiphon_core::{BoxFuture, Priority, Result, TurnDetector};
/// use futures_util::FutureExt;
///
/// struct FirstPause;
///
/// impl TurnDetector for FirstPause {
///     fn name(&self) -> &'static str {
///         "first-pause"
///     }
///
///     fn complete(&self, _audio: Arc<[i16]>, _: Priority) -> BoxFuture<'static, Result<f32>> {
///         async { Ok(1.0) }.boxed()
///     }
/// }
///
/// let complete = FirstPause.complete(vec![0; 16_000].into(), Priority::LiveTurn).now_or_never();
/// assert_eq!(complete, Some(Ok(1.0)));
/// ```
pub trait TurnDetector: Send + Sync {
    /// The engine's name, for logs and metrics.
    fn name(&self) -> &'static str;

    /// The probability, 0 to 1, that the turn is complete. `audio` is 16 kHz mono that ends at the pause; at
    /// most the last 8 s are looked at. Ask only after speech was heard: silence alone scores high.
    fn complete(&self, audio: Arc<[i16]>, priority: Priority) -> BoxFuture<'static, Result<f32>>;
}
