//! The memories of persons, the knowledge of the agent, and the cache of searches in both.

use std::sync::Arc;

use antiphon_cache::{CachedKnowledge, CachedMemories, SearchCache};
use antiphon_core::{Embed, Knowledge, Memories, TenantId};
use antiphon_memory::{InProcessKnowledge, InProcessMemories, passages};
use anyhow::{Context, Result};

use crate::config::Config;

/// The name under which searches in the stores of this process are cached.
const IN_PROCESS: &str = "in process";

/// The store of memories, which lives in this process.
pub(super) fn memories(embed: &Arc<dyn Embed>, results: Option<&Arc<SearchCache>>) -> Arc<dyn Memories> {
    let memories = Arc::new(InProcessMemories::new(embed.clone()));
    match results {
        Some(results) => Arc::new(CachedMemories::new(memories, results.clone(), IN_PROCESS)),
        None => memories,
    }
}

/// The knowledge, with the cache of its searches in front of it.
pub(super) fn searched(known: Arc<InProcessKnowledge>, results: Option<&SearchCache>) -> Arc<dyn Knowledge> {
    match results {
        Some(results) => Arc::new(CachedKnowledge::new(known, results, TenantId::only(), IN_PROCESS)),
        None => known,
    }
}

/// The passages of the configured files, if there are any. [`read_knowledge`] embeds them later.
pub(super) fn knowledge(config: &Config, embed: &Arc<dyn Embed>) -> Result<Option<InProcessKnowledge>> {
    let mut known = Vec::new();
    for file in &config.kb.files {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("[kb] files: cannot read {}", file.display()))?;
        let source = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        known.extend(passages(&text).into_iter().map(|passage| (source.clone(), passage)));
    }
    if known.is_empty() {
        return Ok(None);
    }
    Ok(Some(InProcessKnowledge::new(embed.clone(), known).context("[kb] files")?))
}

/// Embeds the configured files, so that they can be searched.
pub async fn read_knowledge(knowledge: Option<&InProcessKnowledge>) -> Result<()> {
    if let Some(knowledge) = knowledge {
        knowledge.read().await.context("[kb] files cannot be embedded")?;
        tracing::info!(passages = knowledge.len(), "knowledge read");
    }
    Ok(())
}
