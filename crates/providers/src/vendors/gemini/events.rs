//! The pieces of a streamed answer of Gemini.

use std::sync::Arc;

use antiphon_core::{ChatDelta, FinishReason, Result, Usage};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::signatures::Signatures;
use crate::remote::chat::{Chunk, Dialect, call_id};
use crate::remote::{Remote, ServerEvent};

/// Reads the pieces of an answer.
pub(super) struct Contents {
    signatures: Arc<Signatures>,
    /// Tool calls so far.
    calls: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawChunk {
    candidates: Option<Vec<RawCandidate>>,
    prompt_feedback: Option<RawFeedback>,
    usage_metadata: Option<RawUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCandidate {
    content: Option<RawContent>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct RawContent {
    parts: Option<Vec<RawPart>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPart {
    text: Option<String>,
    /// Whether the text is a thought, which is not part of the reply.
    thought: Option<bool>,
    function_call: Option<RawCall>,
    thought_signature: Option<String>,
}

#[derive(Deserialize)]
struct RawCall {
    name: String,
    args: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFeedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
struct RawUsage {
    /// Tokens of the prompt, including cached ones.
    #[serde(rename = "promptTokenCount")]
    prompt: Option<u64>,
    #[serde(rename = "cachedContentTokenCount")]
    cached: Option<u64>,
    #[serde(rename = "candidatesTokenCount")]
    said: Option<u64>,
    #[serde(rename = "thoughtsTokenCount")]
    thought: Option<u64>,
}

impl Contents {
    pub(super) fn new(signatures: Arc<Signatures>) -> Self {
        Self { signatures, calls: 0 }
    }

    fn delta(&mut self, part: RawPart) -> Option<ChatDelta> {
        let Some(call) = part.function_call else {
            let said = part.text.filter(|text| !text.is_empty() && part.thought != Some(true));
            return said.map(ChatDelta::Text);
        };
        let id = call_id();
        self.signatures.remember(&id, part.thought_signature);
        let index = self.calls;
        self.calls += 1;
        let arguments = call.args.map_or_else(|| "{}".to_owned(), |args| args.get().to_owned());
        Some(ChatDelta::ToolCall { index, id: Some(id), name: Some(call.name), arguments })
    }
}

impl Dialect for Contents {
    fn read(&mut self, remote: &Remote, event: &ServerEvent) -> Result<Chunk> {
        let raw: RawChunk =
            serde_json::from_str(&event.data).map_err(|e| remote.protocol(&format!("no valid JSON: {e}")))?;
        if raw.error.is_some() {
            let json: Value = serde_json::from_str(&event.data).unwrap_or_default();
            return Err(remote.refused(&json));
        }
        let blocked = raw.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some());
        let mut chunk = Chunk {
            finish: blocked.then_some(FinishReason::ContentFilter),
            usage: raw.usage_metadata.map(|raw| usage(&raw)),
            ..Chunk::default()
        };
        for candidate in raw.candidates.into_iter().flatten().take(1) {
            let parts = candidate.content.and_then(|content| content.parts).unwrap_or_default();
            chunk.deltas = parts.into_iter().filter_map(|part| self.delta(part)).collect();
            if let Some(reason) = candidate.finish_reason {
                chunk.finish = finish(remote, &reason)?.or(chunk.finish);
            }
        }
        Ok(chunk)
    }
}

fn finish(remote: &Remote, reason: &str) -> Result<Option<FinishReason>> {
    Ok(match reason {
        "FINISH_REASON_UNSPECIFIED" => None,
        "MAX_TOKENS" => Some(FinishReason::Length),
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" => {
            Some(FinishReason::ContentFilter)
        }
        // The model failed to write a tool call. Another attempt may succeed.
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" => return Err(remote.failed(reason)),
        _ => Some(FinishReason::Stop),
    })
}

fn usage(raw: &RawUsage) -> Usage {
    let input_tokens = raw.prompt.unwrap_or(0);
    Usage {
        input_tokens,
        cached_tokens: raw.cached.unwrap_or(0).min(input_tokens),
        output_tokens: raw.said.unwrap_or(0).saturating_add(raw.thought.unwrap_or(0)),
    }
}
