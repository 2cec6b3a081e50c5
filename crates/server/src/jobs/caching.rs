//! Maintains the caches beside calls: fills them when the server starts, warms them up while there are few calls,
//! deletes expired entries, and stores what was learned.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use antiphon_agent::Agent;
use antiphon_agent::warm_up::{fixed_texts, warm_up_speech};
use antiphon_cache::{Caches, Prefetcher, SemanticReplies, private_files};
use antiphon_core::{AgentId, Identity, Share, TenantId};
use antiphon_desk::Desk;

/// How often it is checked that the agent's fixed texts are cached. Each is made anew in the last quarter of its time
/// to live.
const WARMED_EVERY: Duration = Duration::from_mins(5);
/// How often what was learned is stored. A crash loses no more than that.
const WRITTEN_EVERY: Duration = Duration::from_mins(5);

/// The caches of a server, and how they are maintained.
#[derive(Clone)]
pub struct Caching {
    /// All caches of the server and the layers behind them.
    pub caches: Arc<Caches>,
    /// Whether the agent's fixed texts are spoken before a call needs them.
    pub warm: bool,
    /// The semantic caches of replies, one for each engine.
    pub semantic: Vec<Arc<SemanticReplies>>,
    /// What is learned and stored across restarts, apart from the entries.
    pub learned: Vec<Learned>,
}

/// Something that learns while the server runs.
pub trait Learner: Send + Sync {
    /// What was learned, in the form in which it is stored.
    fn to_bytes(&self) -> Vec<u8>;

    /// Restores what was learned earlier. Returns false if the bytes are damaged.
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

/// A learner, and the file in which what it learns is stored.
#[derive(Clone)]
pub struct Learned {
    learner: Arc<dyn Learner>,
    file: PathBuf,
    /// Whether the last attempt to write failed, so that a full disk is reported once and not every few minutes.
    has_failed: Arc<AtomicBool>,
}

impl Learned {
    /// Restores the learner from the file, if there is one.
    pub fn new(learner: Arc<dyn Learner>, file: PathBuf) -> Self {
        if let Err(error) = private_files::tighten_file(&file) {
            tracing::warn!(file = %file.display(), %error, "other users of this machine may be able to read the file");
        }
        match std::fs::read(&file) {
            Ok(bytes) if learner.restore(&bytes) => {}
            Ok(_) => tracing::warn!(file = %file.display(), "the file is damaged: learning begins anew"),
            // A folder that cannot be there is reported by the cache on disk, which lies in it as well.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "the file cannot be read: learning begins anew");
            }
        }
        Self { learner, file, has_failed: Arc::default() }
    }

    async fn write(&self) {
        let Self { learner, file, has_failed } = self.clone();
        let writing = tokio::task::spawn_blocking(move || private_files::replace(&file, &learner.to_bytes()));
        let written = writing.await.map_err(std::io::Error::other).flatten();
        let had_failed = has_failed.swap(written.is_err(), Ordering::Relaxed);
        if let Err(error) = written
            && !had_failed
        {
            tracing::warn!(
                file = %self.file.display(), %error,
                "what was learned cannot be stored: make room on the disk and allow writing in the data directory"
            );
        }
    }
}

/// The file below `folder` in which is stored what prefetching has learned. Earlier versions called it `foresight`: that one
/// is renamed, so that nothing learned is lost. If it cannot be, learning begins anew.
pub(crate) fn prefetch_file(folder: &Path) -> PathBuf {
    let (old, file) = (folder.join("foresight"), folder.join("prefetch"));
    if old.exists()
        && !file.exists()
        && let Err(error) = std::fs::rename(&old, &file)
    {
        tracing::warn!(file = %old.display(), %error, "the file cannot be renamed: learning begins anew");
    }
    file
}

/// Maintains the caches until it is dropped. Fixed texts are spoken by the engines of `desk` while it has few calls.
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

/// Stores everything when the server stops.
pub(crate) async fn finish(caching: &Caching) {
    caching.caches.flush().await;
    for learned in &caching.learned {
        learned.write().await;
    }
}

/// The identity with which the server itself makes requests ahead for its agent.
pub(crate) fn own_identity() -> Identity {
    Identity { tenant: TenantId::only(), agent: AgentId::only(), person: None, share: Share::Server }
}

async fn warm_up_fixed_texts(desk: &Desk, agent: &Agent) {
    let identity = own_identity();
    for text in fixed_texts(&agent.session) {
        if !desk.calls.are_few() {
            return;
        }
        if let Err(error) = warm_up_speech(&desk.engines, agent, &identity, text).await {
            // If the engines fail, calls will report it soon enough.
            tracing::warn!(%error, "the agent's fixed texts are not warmed up");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_version_learned_is_found_under_the_new_name() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("foresight"), folder.path().join("prefetch"));
        assert_eq!(prefetch_file(folder.path()), new);
        assert!(!new.exists(), "nothing was learned yet");
        std::fs::write(&old, "earlier").unwrap();
        assert_eq!(prefetch_file(folder.path()), new);
        assert_eq!(std::fs::read_to_string(&new).unwrap(), "earlier");
        assert!(!old.exists());
    }

    #[test]
    fn what_was_learned_under_the_new_name_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("foresight"), folder.path().join("prefetch"));
        std::fs::write(&old, "earlier").unwrap();
        std::fs::write(&new, "later").unwrap();
        assert_eq!(prefetch_file(folder.path()), new);
        assert_eq!(std::fs::read_to_string(&new).unwrap(), "later");
    }
}
