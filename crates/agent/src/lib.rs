//! The conversation of one call: the pipeline from incoming audio to outgoing audio.

mod accounted;
mod asking;
mod clock;
mod drained;
mod ear;
mod echo;
mod history;
pub mod ids;
mod keypad;
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
    /// Tells speech from silence in what the person sends.
    pub vad: Arc<dyn Vad>,
    /// Semantic detection of the end of a turn. Without it, silence alone ends a turn.
    pub turn: Option<Arc<dyn TurnDetector>>,
    /// Transcribes what the person says.
    pub stt: Arc<dyn Stt>,
    /// Writes the replies.
    pub llm: Arc<dyn Llm>,
    /// Speaks the replies.
    pub tts: Arc<dyn Tts>,
    /// Turns texts into vectors.
    pub embed: Arc<dyn Embed>,
    /// Judges how a person feels.
    pub emotion: Option<Arc<dyn EmotionClassifier>>,
}

/// An agent of a tenant: how it behaves, what it knows and remembers, and which tools it has. Shared by its calls.
#[derive(Clone, Default)]
pub struct Agent {
    /// How the agent behaves in a new call, before its client changes anything.
    pub session: SessionConfig,
    /// Whether replies may be used again, and which earlier replies may answer.
    pub reuse: ReplyReuse,
    /// The memories of persons.
    pub memories: Option<Arc<dyn Memories>>,
    /// The knowledge of the agent's tenant.
    pub knowledge: Option<Arc<dyn Knowledge>>,
    /// Predicts the next questions, so that their answers are made early. Useful only with a cache below the language
    /// model and the voice.
    pub prefetch: Option<Arc<dyn Prefetch>>,
    /// The tools that the server runs for the agent.
    pub tools: Option<Arc<dyn Tools>>,
}

impl Agent {
    /// The server's tools for a reply, in addition to those that the client runs. A client's tool replaces the
    /// server's of the same name. A reply beside the conversation gets none of the server's tools, because the client
    /// alone decides what it may use.
    pub(crate) fn tools_beside(&self, clients: &[Tool], asked: &ReplyRequest) -> Vec<Tool> {
        let Some(ours) = self.tools.as_ref().filter(|_| !asked.out_of_band) else { return Vec::new() };
        let mut tools = ours.list();
        tools.retain(|tool| clients.iter().all(|known| known.name != tool.name));
        tools
    }
}
