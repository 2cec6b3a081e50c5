//! One sequence of the model: what it has read, and the reply it is making.

use std::sync::Arc;

use antiphon_core::measure::account::Account;
use antiphon_core::{ChatDelta, FinishReason, Result, Usage};
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use tokio::sync::mpsc;

use super::text::Text;
use super::tools::Calls;

/// A place for one sequence.
pub(super) struct Slot {
    /// The sequence's number in the cache.
    pub(super) id: i32,
    /// What the cache holds of it.
    pub(super) tokens: Vec<LlamaToken>,
    pub(super) job: Option<Job>,
    /// When it was last used, in steps.
    pub(super) used: u64,
}

/// A reply being made.
pub(super) struct Job {
    /// The whole prompt, and then what was written.
    pub(super) prompt: Vec<LlamaToken>,
    pub(super) output: Option<mpsc::UnboundedSender<Result<ChatDelta>>>,
    /// Of the call that asked.
    pub(super) account: Option<Arc<Account>>,
    pub(super) sampler: LlamaSampler,
    pub(super) cached: usize,
    pub(super) written: u32,
    pub(super) max_tokens: u32,
    /// The token written last, not yet read by the model.
    pub(super) next: Option<LlamaToken>,
    pub(super) text: Text,
    pub(super) calls: Calls,
}

impl Slot {
    /// How many tokens at its start it shares with `prompt`.
    pub(super) fn shared(&self, prompt: &[LlamaToken]) -> usize {
        self.tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count()
    }
}

impl Job {
    /// Nobody waits for it any more.
    pub(super) fn is_unwanted(&self) -> bool {
        self.output.as_ref().is_some_and(mpsc::UnboundedSender::is_closed)
    }

    pub(super) fn send(&self, delta: Result<ChatDelta>) {
        if let Some(output) = &self.output {
            // Whoever asked may be gone; the next step notices.
            let _ = output.send(delta);
        }
    }

    /// Sends what the model wrote: text, or calls of tools.
    pub(super) fn write(&mut self, text: String) {
        for delta in self.calls.push(text) {
            self.send(Ok(delta));
        }
    }

    /// Sends what is left and how it ended.
    pub(super) fn finish(mut self, mut finish: FinishReason) {
        let rest = self.text.rest();
        self.write(rest);
        if let Some(rest) = self.calls.rest() {
            self.send(Ok(rest));
        }
        if finish == FinishReason::Stop && self.calls.any() {
            finish = FinishReason::ToolCalls;
        }
        let usage = Usage {
            input_tokens: self.prompt.len() as u64,
            cached_tokens: self.cached as u64,
            output_tokens: u64::from(self.written),
        };
        self.send(Ok(ChatDelta::Done { finish, usage }));
    }
}
