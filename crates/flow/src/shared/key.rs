//! When two requests are the same.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use antiphon_core::{ChatRequest, Message, Tool, ToolCall, ToolChoice};

/// A request, compared without its priority, its trace and whose account it is counted on. Clones share it.
#[derive(Clone)]
pub(super) struct Key(Arc<ChatRequest>);

impl Key {
    pub(super) fn new(request: ChatRequest) -> Self {
        Self(Arc::new(request))
    }

    /// The request as it came.
    pub(super) fn request(&self) -> ChatRequest {
        ChatRequest::clone(&self.0)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let bits = |value: Option<f32>| value.map(f32::to_bits);
        // Destructured so that a new field cannot be forgotten here.
        let ChatRequest {
            requester,
            model,
            messages,
            tools,
            tool_choice,
            single_call,
            form,
            temperature,
            top_p,
            max_tokens,
            stop,
            seed,
            priority: _,
            trace: _,
            reuse,
        } = &*self.0;
        let them = &*other.0;
        requester.tenant == them.requester.tenant
            && *model == them.model
            && *messages == them.messages
            && *tools == them.tools
            && *tool_choice == them.tool_choice
            && *single_call == them.single_call
            && *form == them.form
            && bits(*temperature) == bits(them.temperature)
            && bits(*top_p) == bits(them.top_p)
            && *max_tokens == them.max_tokens
            && *stop == them.stop
            && *seed == them.seed
            && *reuse == them.reuse
    }
}

impl Eq for Key {}

impl Hash for Key {
    /// Hashes what tells requests apart in practice; `eq` compares the rest.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let request = &*self.0;
        (&request.model, request.max_tokens, &request.stop, request.seed).hash(state);
        (request.temperature.map(f32::to_bits), request.top_p.map(f32::to_bits)).hash(state);
        for Message { role, content, tool_calls, tool_call_id, recognised: _ } in &request.messages {
            (role, content, tool_call_id).hash(state);
            for ToolCall { id, name, arguments } in tool_calls {
                (id, name, arguments).hash(state);
            }
        }
        for Tool { name, description, .. } in &request.tools {
            (name, description).hash(state);
        }
        if let ToolChoice::Function(name) = &request.tool_choice {
            name.hash(state);
        }
    }
}
