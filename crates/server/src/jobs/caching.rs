//! What is done for the caches beside calls: they are filled when the server starts, warmed while few call, and cleaned
//! all the time; and what was learned is written down now and then.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use antiphon_agent::Agent;
use antiphon_agent::warm_up::{fixed_texts, warm_up_speech};
use antiphon_cache::{Caches, Prefetcher, SemanticReplies};
use antiphon_core::{AgentId, Identity, Share, TenantId};
use antiphon_desk::Desk;

/// How often it is seen to that what the agent says by itself is there; it is made anew in the last quarter of its life.
const WARMED_EVERY: Duration = Duration::from_mins(5);
/// How often what was learned is written down: a crash loses no more.
const WRITTEN_EVERY: Duration = Duration::from_mins(5);

/// The caches of a server, and how they are kept.
#[derive(Clone)]
pub struct Caching {
    /// The caches.
    pub caches: Arc<Caches>,
    /// Whether what the agent says by itself is warmed up: spoken before a call needs it.
    pub warm: bool,
    /// What is known of replies by their meaning, of each engine.
    pub semantic: Vec<Arc<SemanticReplies>>,
    /// What outlives the server beside the entries.
    pub learned: Vec<Learned>,
}

/// Something that learns while the server runs.
pub trait Learner: Send + Sync {
    /// What it learned.
    fn to_bytes(&self) -> Vec<u8>;

    /// Takes up what was learned; false if the bytes are damaged.
    fn restore(&self, bytes: &[u8]) -> bool;
}

impl Learner for SemanticReplies {
    fn to_bytes(&self) -> Vec<u8> {
        self.evidence()
    }

    fn restore(&self, bytes: &[u8]) -> bool {
        Self::restore(self, bytes)
    }
}

impl Learner for Prefetcher {
    fn to_bytes(&self) -> Vec<u8> {
        Self::to_bytes(self)
    }

    fn restore(&self, bytes: &[u8]) -> bool {
        Self::restore(self, bytes)
    }
}

/// What was learned, and where that is written down.
#[derive(Clone)]
pub struct Learned {
    learner: Arc<dyn Learner>,
    file: PathBuf,
}

impl Learned {
    /// Takes up what was written down.
    pub fn new(learner: Arc<dyn Learner>, file: PathBuf) -> Self {
        match std::fs::read(&file) {
            Ok(bytes) if learner.restore(&bytes) => {}
            Ok(_) => tracing::warn!(file = %file.display(), "damaged: what it held is learned anew"),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(file = %file.display(), %error, "what it holds is learned anew"),
        }
        Self { learner, file }
    }

    /// Replaces what was written down: whole or not at all.
    async fn write(&self) {
        let Self { learner, file } = self.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let beside = file.with_extension("new");
            std::fs::write(&beside, learner.to_bytes())?;
            std::fs::rename(&beside, &file)
        });
        if let Err(error) = writing.await.map_err(std::io::Error::other).flatten() {
            tracing::warn!(file = %self.file.display(), %error, "what was learned is not written down");
        }
    }
}

/// Looks after the caches, for ever. What is warmed up is spoken by the engines of `desk`, while it has few calls.
pub(crate) async fn run(caching: Option<Caching>, desk: Desk, agent: Arc<Agent>) {
    let Some(Caching { caches, warm, learned, .. }) = caching else {
        return std::future::pending().await;
    };
    let warming = async {
        caches.fill().await;
        if warm {
            loop {
                warm_up_fixed_texts(&desk, &agent).await;
                tokio::time::sleep(WARMED_EVERY).await;
            }
        }
    };
    let writing = async {
        loop {
            tokio::time::sleep(WRITTEN_EVERY).await;
            for learned in &learned {
                learned.write().await;
            }
        }
    };
    tokio::join!(warming, writing, caches.keep_clean());
}

/// Writes what is to be written, when the server stops.
pub(crate) async fn finish(caching: &Caching) {
    caching.caches.flush().await;
    for learned in &caching.learned {
        learned.write().await;
    }
}

/// As whom the server itself asks what its agent will need.
pub(crate) fn own_identity() -> Identity {
    Identity { tenant: TenantId::only(), agent: AgentId::only(), person: None, share: Share::Server }
}

async fn warm_up_fixed_texts(desk: &Desk, agent: &Agent) {
    let asker = own_identity();
    for text in fixed_texts(&agent.session) {
        if !desk.calls.are_few() {
            return;
        }
        if let Err(error) = warm_up_speech(&desk.engines, agent, &asker, text).await {
            // A call would hear of it soon enough.
            tracing::warn!(%error, "the agent's own words are not warmed up");
            return;
        }
    }
}
