//! What is done for the caches beside calls: filled when the server starts, warmed while few call, cleaned all the time; and
//! what was learned of replies by their meaning is written down now and then.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use antiphon_agent::rehearsal::{fixed_texts, say_ahead};
use antiphon_flow::cache::{Caches, Key, SemanticReplies};

use crate::app::App;

/// How often it is seen to that what the agent says by itself is there; it is made anew in the last quarter of its life.
const WARMED_EVERY: Duration = Duration::from_mins(5);
/// How often what was learned is written down: a crash loses no more.
const WRITTEN_EVERY: Duration = Duration::from_mins(5);

/// The caches of a server, and how they are kept.
#[derive(Clone)]
pub struct Caching {
    /// They.
    pub caches: Arc<Caches>,
    /// Whether what the agent says by itself is spoken ahead.
    pub warm: bool,
    /// What is known of replies by their meaning, of each engine.
    pub semantic: Vec<Learned>,
}

/// What is known of an engine's replies by their meaning, and where that is written down.
#[derive(Clone)]
pub struct Learned {
    /// It.
    pub replies: Arc<SemanticReplies>,
    file: Option<PathBuf>,
}

impl Learned {
    /// Takes up what was written down in `folder` of the engine and embedder that are `id`.
    pub fn new(replies: Arc<SemanticReplies>, folder: Option<&Path>, id: Key) -> Self {
        let file = folder.map(|folder| folder.join(format!("semantic-{id:?}")));
        if let Some(file) = &file {
            match std::fs::read(file) {
                Ok(evidence) if replies.restore(&evidence) => {}
                Ok(_) => tracing::warn!(file = %file.display(), "damaged: what replies mean is learned anew"),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(file = %file.display(), %error, "what replies mean is learned anew");
                }
            }
        }
        Self { replies, file }
    }

    /// Replaces what was written down: whole or not at all.
    async fn write(&self) {
        let Some(file) = &self.file else { return };
        let beside = file.with_extension("new");
        let written = async {
            tokio::fs::write(&beside, self.replies.evidence()).await?;
            tokio::fs::rename(&beside, file).await
        };
        if let Err(error) = written.await {
            tracing::warn!(file = %file.display(), %error, "what was learned of replies is not written down");
        }
    }
}

/// Looks after the caches, for ever.
pub(crate) async fn run(app: Arc<App>) {
    let Some(Caching { caches, warm, semantic }) = app.caching.clone() else {
        return std::future::pending().await;
    };
    let warming = async {
        caches.fill().await;
        if warm {
            loop {
                say_fixed_texts(&app).await;
                tokio::time::sleep(WARMED_EVERY).await;
            }
        }
    };
    let writing = async {
        loop {
            tokio::time::sleep(WRITTEN_EVERY).await;
            for learned in &semantic {
                learned.write().await;
            }
        }
    };
    tokio::join!(warming, writing, caches.keep_clean());
}

/// Writes what is to be written, when the server stops.
pub(crate) async fn finish(app: &App) {
    if let Some(caching) = &app.caching {
        caching.caches.flush().await;
        for learned in &caching.semantic {
            learned.write().await;
        }
    }
}

async fn say_fixed_texts(app: &App) {
    let session = app.session_config();
    for text in fixed_texts(&session) {
        if !app.calls.are_few() {
            return;
        }
        if let Err(error) = say_ahead(&app.engines, &session, text).await {
            // A call would hear of it soon enough.
            tracing::warn!(%error, "the agent's own words are not spoken ahead");
            return;
        }
    }
}
