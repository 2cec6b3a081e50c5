//! One sequence of the model: what it has read, and the reply it is making.

use std::sync::Arc;

use antiphon_core::measure::account::Account;
use antiphon_core::{ChatDelta, FinishReason, Result, Usage};
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use tokio::sync::mpsc;

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

/// Turns bytes into text that may be sent: whole characters, and nothing that may begin a stop string.
#[derive(Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    held: String,
    stops: Vec<String>,
}

impl Text {
    pub(super) fn new(stops: Vec<String>) -> Self {
        Self { stops: stops.into_iter().filter(|s| !s.is_empty()).collect(), ..Self::default() }
    }

    /// Takes bytes; gives what may be sent, and whether a stop string ended it.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (String, bool) {
        self.bytes.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.bytes) {
            Ok(text) => text.len(),
            // An incomplete character waits for its rest; a wrong one becomes U+FFFD.
            Err(e) if e.error_len().is_none() => e.valid_up_to(),
            Err(_) => self.bytes.len(),
        };
        let whole: Vec<u8> = self.bytes.drain(..whole).collect();
        self.held.push_str(&String::from_utf8_lossy(&whole));
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        (std::mem::replace(&mut self.held, rest), false)
    }

    fn rest(&mut self) -> String {
        self.bytes.clear();
        std::mem::take(&mut self.held)
    }
}

/// How many bytes at the end of `text` begin `stop`.
pub(super) fn overlap(text: &str, stop: &str) -> usize {
    let longest = stop.len().saturating_sub(1).min(text.len());
    (1..=longest).rev().find(|&n| stop.is_char_boundary(n) && text.ends_with(&stop[..n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stop_string_ends_the_text_wherever_it_is_cut() {
        let mut text = Text::new(vec!["</s>".to_owned()]);
        assert_eq!(text.push(b"Hello <"), ("Hello ".to_owned(), false));
        assert_eq!(text.push(b"/b> and </"), ("</b> and ".to_owned(), false));
        assert_eq!(text.push(b"s> more"), (String::new(), true));
    }

    proptest! {
        /// However the bytes are cut, the text is the same.
        #[test]
        fn characters_are_never_torn(text in "\\PC{0,40}", cut in 0_usize..40) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let mut taker = Text::new(vec!["never to be found".to_owned()]);
            let mut all = taker.push(&bytes[..cut]).0;
            all.push_str(&taker.push(&bytes[cut..]).0);
            all.push_str(&taker.rest());
            prop_assert_eq!(all, text);
        }
    }
}
