//! The events of a message (<https://docs.anthropic.com/en/docs/build-with-claude/streaming>).

use antiphon_core::{ChatDelta, FinishReason, Result, Usage};
use serde::Deserialize;
use serde_json::Value;

use crate::remote::chat::{Chunk, Dialect};
use crate::remote::{Remote, ServerEvent};

/// Reads the events of a message.
#[derive(Debug, Default)]
pub(super) struct Messages {
    usage: RawUsage,
    /// How many tool calls the message has begun so far.
    calls: usize,
    /// Whether the current call has no arguments yet.
    bare: bool,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: RawMessage,
    },
    ContentBlockStart {
        content_block: RawBlock,
    },
    ContentBlockDelta {
        delta: RawDelta,
    },
    ContentBlockStop,
    MessageDelta {
        delta: RawEnd,
        usage: Option<RawUsage>,
    },
    MessageStop,
    Error,
    /// Pings, and events that are added to the API later.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct RawMessage {
    usage: Option<RawUsage>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum RawBlock {
    Text {
        text: Option<String>,
    },
    ToolUse {
        id: String,
        name: String,
    },
    /// Thinking, and the server's own tools.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum RawDelta {
    TextDelta {
        text: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    /// Thinking, signatures and citations.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct RawEnd {
    stop_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct RawUsage {
    /// Tokens that were neither read from the cache nor written to it.
    #[serde(rename = "input_tokens")]
    fresh: Option<u64>,
    #[serde(rename = "cache_creation_input_tokens")]
    cache_written: Option<u64>,
    #[serde(rename = "cache_read_input_tokens")]
    cache_read: Option<u64>,
    #[serde(rename = "output_tokens")]
    output: Option<u64>,
}

impl RawUsage {
    /// The counts are cumulative, and each event has only some of them.
    fn update(&mut self, later: &Self) {
        self.fresh = later.fresh.or(self.fresh);
        self.cache_written = later.cache_written.or(self.cache_written);
        self.cache_read = later.cache_read.or(self.cache_read);
        self.output = later.output.or(self.output);
    }

    fn usage(&self) -> Usage {
        let read = [self.fresh, self.cache_written, self.cache_read].map(|part| part.unwrap_or(0));
        Usage {
            input_tokens: read.into_iter().fold(0, u64::saturating_add),
            cached_tokens: self.cache_read.unwrap_or(0),
            output_tokens: self.output.unwrap_or(0),
        }
    }
}

impl Dialect for Messages {
    fn read(&mut self, remote: &Remote, event: &ServerEvent) -> Result<Chunk> {
        let mut chunk = Chunk::default();
        let read: Event =
            serde_json::from_str(&event.data).map_err(|e| remote.protocol(&format!("no valid JSON: {e}")))?;
        match read {
            Event::MessageStart { message } => self.usage.update(&message.usage.unwrap_or_default()),
            Event::ContentBlockStart { content_block } => chunk.deltas.extend(self.begin(content_block)),
            Event::ContentBlockDelta { delta } => chunk.deltas.extend(self.more(delta)),
            Event::ContentBlockStop => chunk.deltas.extend(self.end()),
            Event::MessageDelta { delta, usage } => {
                self.usage.update(&usage.unwrap_or_default());
                chunk.usage = Some(self.usage.usage());
                chunk.finish = delta.stop_reason.as_deref().map(finish);
            }
            Event::MessageStop => chunk.last = true,
            Event::Error => {
                let json: Value = serde_json::from_str(&event.data).unwrap_or_default();
                return Err(remote.refused(&json));
            }
            Event::Other => {}
        }
        Ok(chunk)
    }
}

impl Messages {
    fn begin(&mut self, block: RawBlock) -> Option<ChatDelta> {
        match block {
            RawBlock::Text { text } => text.filter(|text| !text.is_empty()).map(ChatDelta::Text),
            RawBlock::ToolUse { id, name } => {
                self.calls += 1;
                self.bare = true;
                let (id, name) = (Some(id), Some(name));
                Some(ChatDelta::ToolCall { index: self.calls - 1, id, name, arguments: String::new() })
            }
            RawBlock::Other => None,
        }
    }

    fn more(&mut self, delta: RawDelta) -> Option<ChatDelta> {
        match delta {
            RawDelta::TextDelta { text } => Some(text).filter(|text| !text.is_empty()).map(ChatDelta::Text),
            RawDelta::InputJsonDelta { partial_json } if partial_json.is_empty() => None,
            RawDelta::InputJsonDelta { partial_json } => {
                self.bare = false;
                self.arguments(partial_json)
            }
            RawDelta::Other => None,
        }
    }

    /// The end of a call. For a tool without arguments the server sends none, but callers expect an object.
    fn end(&mut self) -> Option<ChatDelta> {
        std::mem::take(&mut self.bare).then(|| self.arguments("{}".to_owned())).flatten()
    }

    /// More arguments of the last call; `None` when there is no call.
    fn arguments(&self, arguments: String) -> Option<ChatDelta> {
        let index = self.calls.checked_sub(1)?;
        Some(ChatDelta::ToolCall { index, id: None, name: None, arguments })
    }
}

fn finish(reason: &str) -> FinishReason {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        _ => FinishReason::Stop,
    }
}
