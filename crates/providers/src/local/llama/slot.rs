//! One sequence of the model: the tokens in its cache and the reply that is being generated.

use std::sync::{Arc, Weak};

use antiphon_core::measure::account::Account;
use antiphon_core::{ChatDelta, Error, FinishReason, Priority, Result, Usage};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use tokio::sync::mpsc;

use super::sampling::Sampler;
use super::text::Text;
use super::tools::Calls;

/// Whether a reply is decoded alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alone {
    /// Never: it is sampled at random anyway, or somebody waits in silence for it.
    Never,
    /// While nothing else is to be done.
    WhenIdle,
    /// Whatever else is to be done.
    Always,
}

/// A place for one sequence.
pub(super) struct Slot {
    /// The sequence's number in the cache.
    pub(super) id: i32,
    /// The tokens that the cache holds.
    pub(super) tokens: Vec<LlamaToken>,
    pub(super) job: Option<Job>,
    /// The call whose conversation it holds. Conversations of those for whom nobody waits in silence are of no call.
    call: Weak<Account>,
    /// The step in which it was last used.
    pub(super) used: u64,
}

/// A reply that waits for a slot or is being generated.
pub(super) struct Job {
    /// The tokens that must be in the cache before the next one is generated: those of the prompt and, after an interruption,
    /// those generated before it.
    pub(super) prompt: Vec<LlamaToken>,
    /// Tokens of the prompt alone.
    pub(super) asked: usize,
    pub(super) urgency: Priority,
    pub(super) alone: Alone,
    /// Whether it has begun already and had to give way to more urgent work.
    pub(super) was_interrupted: bool,
    /// Where the reply goes; `None` when the prompt is only read ahead.
    pub(super) output: Option<mpsc::UnboundedSender<Result<ChatDelta>>>,
    /// The account of the call that asked.
    pub(super) account: Option<Arc<Account>>,
    /// Whether it is for a turn of a call, be it that the turn is only expected.
    pub(super) is_of_turn: bool,
    pub(super) sampler: Sampler,
    /// Prompt tokens that were in the cache already.
    pub(super) cached: usize,
    /// Tokens generated so far.
    pub(super) written: u32,
    pub(super) max_tokens: u32,
    /// The token that was generated last and that the model has not read yet.
    pub(super) next: Option<LlamaToken>,
    pub(super) text: Text,
    pub(super) calls: Calls,
}

impl Slot {
    pub(super) fn new(id: i32) -> Self {
        Self { id, tokens: Vec::new(), job: None, call: Weak::new(), used: 0 }
    }

    /// How dear its tokens are while nobody uses them: those of calls that go on are dearest, and then the latest.
    pub(super) fn worth(&self) -> (bool, u64) {
        (self.call.strong_count() > 0, self.used)
    }

    /// Whether it holds the conversation of the call that asks, as it was before.
    pub(super) fn is_of_call_of(&self, job: &Job) -> bool {
        job.call().is_some_and(|call| std::ptr::eq(Arc::as_ptr(call), self.call.as_ptr()))
    }

    pub(super) fn begin(&mut self, job: Job, step: u64) {
        self.used = step;
        self.call = job.call().map(Arc::downgrade).unwrap_or_default();
        self.job = Some(job);
    }

    /// The number of tokens at the start that are equal to those of `prompt`.
    pub(super) fn shared(&self, prompt: &[LlamaToken]) -> usize {
        self.tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count()
    }
}

impl Job {
    /// The call for whose turn it is.
    fn call(&self) -> Option<&Arc<Account>> {
        self.account.as_ref().filter(|_| self.is_of_turn)
    }

    /// Whether somebody waits in silence for the reply, or soon may.
    pub(super) fn is_live(&self) -> bool {
        self.urgency.is_live()
    }

    /// The most tokens that it can come to hold.
    pub(super) fn longest(&self) -> usize {
        self.asked + if self.output.is_some() { self.max_tokens as usize } else { 0 }
    }

    /// The same, when its slot with these tokens is taken away: it will go on from there.
    pub(super) fn interrupted(mut self, tokens: &[LlamaToken]) -> Self {
        // A prompt that was only half read is read from its beginning.
        if tokens.len() >= self.prompt.len() {
            self.prompt = tokens.iter().copied().chain(self.next.take()).collect();
        }
        self.was_interrupted = true;
        self
    }

    /// Whether the receiver of the reply is gone.
    pub(super) fn is_unwanted(&self) -> bool {
        self.output.as_ref().is_some_and(mpsc::UnboundedSender::is_closed)
    }

    pub(super) fn send(&self, delta: Result<ChatDelta>) {
        if let Some(output) = &self.output {
            // The receiver may be gone; the next step notices it.
            let _ = output.send(delta);
        }
    }

    /// Sends what the model wrote: text or tool calls.
    pub(super) fn write(&mut self, text: String) {
        for delta in self.calls.push(text) {
            self.send(Ok(delta));
        }
    }

    /// Samples the next token of the reply from the logits at this place of the latest batch. Gives why the reply ends with it; `None` if
    /// it goes on.
    pub(super) fn advance(
        &mut self,
        model: &LlamaModel,
        context: &LlamaContext<'_>,
        at: i32,
    ) -> Option<Result<FinishReason>> {
        let Some(token) = self.sampler.sample(context, at) else {
            return Some(Err(Error::invalid(
                "the tools' parameters ask for a character that the language model cannot write: leave it out",
            )));
        };
        let vocab = model.vocab();
        if vocab.is_eog(token) {
            return Some(Ok(FinishReason::Stop));
        }
        self.written += 1;
        let (text, stopped) = self.text.push(&vocab.token_to_piece(token, false, None));
        self.write(text);
        self.next = Some(token);
        if stopped {
            Some(Ok(FinishReason::Stop))
        } else {
            (self.written >= self.max_tokens).then_some(Ok(FinishReason::Length))
        }
    }

    /// Ends the reply, or tells why it failed.
    pub(super) fn end(self, finish: Result<FinishReason>) {
        match finish {
            Ok(finish) => self.finish(finish),
            Err(error) => self.send(Err(error)),
        }
    }

    /// Sends what was held back, and why the reply ended.
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
            input_tokens: self.asked as u64,
            cached_tokens: self.cached as u64,
            output_tokens: u64::from(self.written),
        };
        self.send(Ok(ChatDelta::Done { finish, usage }));
    }
}
