//! What is said to a language model.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::Priority;
use crate::identity::{PersonId, Requester};
use crate::trace::TraceContext;

/// Whose words a message contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Whoever gives the agent its instructions.
    System,
    /// The person whom the agent answers.
    User,
    /// The agent, whose messages the model wrote.
    Assistant,
    /// The output of a tool.
    Tool,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Whose words these are.
    pub role: Role,
    /// What is said; empty for an assistant message that only calls tools.
    pub content: String,
    /// Tools the assistant called in this message.
    pub tool_calls: Vec<ToolCall>,
    /// For [`Role::Tool`]: the call this answers.
    pub tool_call_id: Option<String>,
    /// Whether speech recognition wrote all of it, so that letter case and commas are its own and not the person's.
    pub recognised: bool,
}

impl Message {
    /// A message that neither calls a tool nor answers a call.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), tool_calls: Vec::new(), tool_call_id: None, recognised: false }
    }
}

/// A call of a tool, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Unique within the conversation.
    pub id: String,
    /// The tool that is called; the model may name one that does not exist.
    pub name: String,
    /// JSON as the model wrote it: it may not parse.
    pub arguments: String,
}

/// A function the model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Letters, digits, `_` and `-`.
    pub name: String,
    /// When and how to call it.
    #[serde(default, deserialize_with = "null_is_absent")]
    pub description: String,
    /// JSON Schema of the arguments.
    #[serde(default)]
    pub parameters: Value,
}

/// Reads `null` as what an absent field means.
fn null_is_absent<'de, D: Deserializer<'de>>(description: D) -> Result<String, D::Error> {
    Option::deserialize(description).map(Option::unwrap_or_default)
}

/// Whether the model may, must or must not call tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides whether it calls any.
    #[default]
    Auto,
    /// The model must not call any.
    None,
    /// It must call at least one.
    Required,
    /// It must call this one.
    Function(String),
}

/// The form that an answer must have.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum AnswerForm {
    /// Text as the model likes.
    #[default]
    Text,
    /// A JSON object.
    Json,
    /// JSON that is valid by a schema.
    Schema {
        /// What the client calls it.
        name: String,
        /// JSON Schema.
        schema: Value,
        /// Whether vendors hold the model to all of it; `None` leaves it to them.
        strict: Option<bool>,
    },
}

impl AnswerForm {
    /// How a model is told of the form in words; `None` if it is free.
    pub fn instructions(&self) -> Option<String> {
        match self {
            Self::Text => None,
            Self::Json => Some("Answer only with a JSON object.".to_owned()),
            Self::Schema { schema, .. } => {
                Some(format!("Answer only with JSON that is valid by this JSON schema:\n{schema}"))
            }
        }
    }
}

/// A request for a completion.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// On whose behalf it is asked.
    pub requester: Requester,
    /// `None` or an unknown name gives the engine's default.
    pub model: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// What may be called.
    pub tools: Vec<Tool>,
    /// Whether tools may, must or must not be called.
    pub tool_choice: ToolChoice,
    /// Whether a reply calls one tool at most: the opposite of OpenAI's `parallel_tool_calls`.
    pub single_call: bool,
    /// The form of the answer, where it calls no tool.
    pub form: AnswerForm,
    /// 0 is greedy; `None` gives the engine's default.
    pub temperature: Option<f32>,
    /// Nucleus sampling; `None` gives the engine's default.
    pub top_p: Option<f32>,
    /// The longest reply in tokens; `None` gives the engine's default.
    pub max_tokens: Option<u32>,
    /// Ends the reply before any of these.
    pub stop: Vec<String>,
    /// Makes sampling repeatable where the engine can.
    pub seed: Option<u64>,
    /// How urgent it is.
    pub priority: Priority,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
    /// Which of the tenant's earlier answers may answer this; `None`: it is asked afresh, and nothing is kept.
    pub reuse: Option<Reuse>,
}

/// Within which bounds an answer may be used again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reuse {
    /// Whose memories are among what the model reads: nobody else gets the answer.
    pub person: Option<PersonId>,
    /// Which of the messages was looked up for this question: another wording may have found other words of the same.
    pub looked_up: Option<usize>,
    /// How often the knowledge it was looked up in had changed: [`crate::StoreVersion::changes`].
    pub knowledge: u64,
    /// Also answers given to the same question in other words.
    pub other_words: bool,
}

impl ChatRequest {
    /// A request with the engine's defaults.
    pub fn new(requester: Requester, messages: Vec<Message>) -> Self {
        Self {
            requester,
            model: None,
            messages,
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            single_call: false,
            form: AnswerForm::Text,
            temperature: None,
            top_p: None,
            max_tokens: None,
            stop: Vec::new(),
            seed: None,
            priority: Priority::LiveTurn,
            trace: None,
            reuse: None,
        }
    }
}

/// Tokens a completion used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Read, cached ones included.
    pub input_tokens: u64,
    /// Read from a cache.
    pub cached_tokens: u64,
    /// Tokens that the model wrote.
    pub output_tokens: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens += other.input_tokens;
        self.cached_tokens += other.cached_tokens;
        self.output_tokens += other.output_tokens;
    }
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// The token limit was reached.
    Length,
    /// The model ended its answer in order to call tools.
    ToolCalls,
    /// The provider withheld it.
    ContentFilter,
}
