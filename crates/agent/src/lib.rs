//! One conversation: the session pipeline from audio in to audio out.

mod accounted;
mod asking;
mod clock;
mod drained;
mod ear;
mod history;
pub mod ids;
mod output;
pub mod plan;
mod playback;
mod prompt;
mod reply;
mod session;
mod speech;
mod turn_context;
pub mod warm_up;

use std::sync::Arc;

pub use session::{Call, run_call};
pub use speech::clauses;

use antiphon_core::session::{ReplyRequest, ReplyReuse, SessionConfig};
use antiphon_core::{
    Embed, EmotionClassifier, Knowledge, Llm, Memories, Prefetch, Stt, Tool, Tools, Tts, TurnDetector, Vad,
};

/// The engines that all calls share.
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
    /// Turns texts into vectors.
    pub embed: Arc<dyn Embed>,
    /// How a person feels.
    pub emotion: Option<Arc<dyn EmotionClassifier>>,
}

/// An agent of a tenant: how it behaves, and what it knows, remembers and can do. Shared by its calls.
#[derive(Clone, Default)]
pub struct Agent {
    /// How the agent behaves in a new call, before its client changes anything.
    pub session: SessionConfig,
    /// Whether replies may be used again, and which replies given before may answer.
    pub reuse: ReplyReuse,
    /// What is remembered of persons.
    pub memories: Option<Arc<dyn Memories>>,
    /// What the agent's tenant knows.
    pub knowledge: Option<Arc<dyn Knowledge>>,
    /// Predicts the next questions, so that their answers are made early: of use only if a cache stands below the language
    /// model and the voice.
    pub prefetch: Option<Arc<dyn Prefetch>>,
    /// What the agent may call and the server runs.
    pub tools: Option<Arc<dyn Tools>>,
}

impl Agent {
    /// The server's tools for a reply, beside those that the client runs: a client that brings a tool of the same name
    /// replaces the server's. What is asked for beside the conversation is the client's own affair, and so are its tools.
    pub(crate) fn tools_beside(&self, clients: &[Tool], asked: &ReplyRequest) -> Vec<Tool> {
        let Some(ours) = self.tools.as_ref().filter(|_| !asked.out_of_band) else { return Vec::new() };
        let mut tools = ours.list();
        tools.retain(|tool| clients.iter().all(|known| known.name != tool.name));
        tools
    }
}
