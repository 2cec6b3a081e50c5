//! One conversation: the session pipeline from audio in to audio out.

mod accounted;
mod asking;
mod clock;
mod drained;
mod ear;
mod history;
pub mod ids;
mod lookup;
mod output;
pub mod plan;
mod playback;
mod prompt;
mod reply;
mod session;
mod speech;
pub mod warm_up;

use std::sync::Arc;

pub use session::run_call;
pub use speech::clauses;

use antiphon_core::{
    Embed, EmotionClassifier, Knowledge, Llm, Memories, Prefetch, Stt, Tts, TurnDetector, Vad,
};

/// The engines all calls share.
#[derive(Clone)]
pub struct Engines {
    /// Voice activity.
    pub vad: Arc<dyn Vad>,
    /// Semantic end of turn; without it silence alone ends a turn.
    pub turn: Option<Arc<dyn TurnDetector>>,
    /// Speech to text.
    pub stt: Arc<dyn Stt>,
    /// The language model.
    pub llm: Arc<dyn Llm>,
    /// Text to speech.
    pub tts: Arc<dyn Tts>,
    /// Embeddings.
    pub embed: Arc<dyn Embed>,
    /// How a person feels.
    pub emotion: Option<Arc<dyn EmotionClassifier>>,
    /// What is remembered of whom.
    pub memories: Option<Arc<dyn Memories>>,
    /// What is known.
    pub knowledge: Option<Arc<dyn Knowledge>>,
    /// Predicts the next questions, so that their answers are made early: of use only if a cache stands below `llm` and `tts`.
    pub prefetch: Option<Arc<dyn Prefetch>>,
}
