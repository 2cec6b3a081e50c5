//! Separates the tool calls of a completion, which servers number in different ways.

use antiphon_core::ChatDelta;
use serde::Deserialize;
use serde_json::Value;

use crate::remote::chat::call_id;

/// A piece of a call as it stands in the completion. Where OpenAI leaves a field out, other servers write null.
#[derive(Deserialize)]
pub(super) struct RawToolCall {
    index: Option<usize>,
    id: Option<String>,
    function: Option<RawFunction>,
}

#[derive(Default, Deserialize)]
struct RawFunction {
    name: Option<String>,
    /// A string of JSON; some servers write the JSON object itself.
    arguments: Option<Value>,
}

/// The tool calls of one completion.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Call>);

#[derive(Debug)]
struct Call {
    /// The server's number, if it gives one.
    index: Option<usize>,
    id: String,
}

impl Calls {
    /// Turns a piece of a call into a delta. OpenAI numbers the calls and sends the id and name of each once.
    /// Ollama sends whole calls, which all have the number 0 (ollama/ollama#15457) or none. Versions of vLLM sent a
    /// new id with every piece.
    pub(super) fn delta(&mut self, piece: RawToolCall) -> ChatDelta {
        let function = piece.function.unwrap_or_default();
        let (id, name) =
            (piece.id.filter(|id| !id.is_empty()), function.name.filter(|name| !name.is_empty()));
        let arguments =
            function.arguments.map(|json| json.as_str().map_or_else(|| json.to_string(), str::to_owned));
        let arguments = arguments.unwrap_or_default();
        let known = match piece.index {
            Some(_) => self.0.iter().rposition(|call| call.index == piece.index),
            None => self.0.len().checked_sub(1),
        };
        // Another call begins with another id and a name, or, without numbers, with a name alone.
        let another = |known: &usize| {
            name.is_some() && id.as_ref().map_or(piece.index.is_none(), |id| *id != self.0[*known].id)
        };
        if let Some(index) = known.filter(|known| !another(known)) {
            return ChatDelta::ToolCall { index, id: None, name: None, arguments };
        }
        let id = id.unwrap_or_else(call_id);
        self.0.push(Call { index: piece.index, id: id.clone() });
        ChatDelta::ToolCall { index: self.0.len() - 1, id: Some(id), name, arguments }
    }
}
