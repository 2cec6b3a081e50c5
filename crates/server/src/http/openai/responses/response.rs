//! The response as clients get it.

use std::collections::BTreeMap;
use std::sync::Arc;

use antiphon_core::{FinishReason, Usage};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A whole answer. Streams carry it at their beginning, still empty, and at their end.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ResponseObject {
    pub(super) id: String,
    pub(super) object: &'static str,
    pub(super) created_at: u64,
    pub(super) status: ResponseStatus,
    pub(super) error: Option<ResponseFailure>,
    pub(super) incomplete_details: Option<IncompleteDetails>,
    pub(super) output: Vec<OutputItem>,
    pub(super) usage: Option<ResponseUsage>,
    #[serde(flatten)]
    #[schema(value_type = Echo)]
    pub(super) echo: SharedEcho,
}

/// What a response repeats of its request, once for all events that carry the response: it may be as long as the request.
#[derive(Clone, Debug)]
pub(super) struct SharedEcho(pub(super) Arc<Echo>);

impl Serialize for SharedEcho {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// What a response repeats of its request. What is not served is null or false whatever was asked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Echo {
    pub(super) model: String,
    pub(super) instructions: Option<String>,
    pub(super) max_output_tokens: Option<u32>,
    pub(super) temperature: Option<f32>,
    pub(super) top_p: Option<f32>,
    #[schema(value_type = Object)]
    pub(super) tool_choice: Value,
    #[schema(value_type = Vec<Object>)]
    pub(super) tools: Vec<Box<RawValue>>,
    #[schema(value_type = Object)]
    pub(super) text: Box<RawValue>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) parallel_tool_calls: bool,
    pub(super) truncation: &'static str,
    pub(super) background: bool,
    pub(super) store: bool,
    pub(super) previous_response_id: Option<String>,
    pub(super) reasoning: NoReasoning,
    pub(super) service_tier: &'static str,
}

/// No engine tells its thoughts.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct NoReasoning {
    effort: Option<String>,
    summary: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ResponseStatus {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ResponseFailure {
    pub(super) code: &'static str,
    pub(super) message: String,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct IncompleteDetails {
    reason: &'static str,
}

/// What the agent said, or a tool that it calls.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum OutputItem {
    Message { id: String, status: ResponseStatus, role: &'static str, content: Vec<OutputPart> },
    FunctionCall { id: String, status: ResponseStatus, call_id: String, name: String, arguments: String },
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum OutputPart {
    OutputText {
        text: String,
        /// Always empty, because no engine names its sources.
        #[schema(value_type = Vec<Object>)]
        annotations: [(); 0],
        /// Always empty, because no engine tells probabilities.
        #[schema(value_type = Vec<Object>)]
        logprobs: [(); 0],
    },
}

/// The tokens that were used; zero where the engine does not report them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ResponseUsage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl From<Usage> for ResponseUsage {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            input_tokens_details: InputDetails { cached_tokens: usage.cached_tokens, cache_write_tokens: 0 },
            output_tokens: usage.output_tokens,
            output_tokens_details: OutputDetails { reasoning_tokens: 0 },
            total_tokens: usage.input_tokens + usage.output_tokens,
        }
    }
}

impl OutputPart {
    pub(super) fn text(text: String) -> Self {
        Self::OutputText { text, annotations: [], logprobs: [] }
    }
}

impl IncompleteDetails {
    /// Why an answer is not complete; `None` if it is.
    pub(super) fn of(finish: FinishReason) -> Option<Self> {
        let reason = match finish {
            FinishReason::Stop | FinishReason::ToolCalls => return None,
            FinishReason::Length => "max_output_tokens",
            FinishReason::ContentFilter => "content_filter",
        };
        Some(Self { reason })
    }
}
