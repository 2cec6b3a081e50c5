//! Thought signatures of tool calls. From version 3 on, Gemini refuses a conversation in which its calls come without
//! their signatures (<https://ai.google.dev/gemini-api/docs/thought-signatures>). Messages have no place for them, so
//! they are kept here.

use std::collections::VecDeque;
use std::sync::Mutex;

use antiphon_core::lock;

/// Calls that are remembered, the oldest is forgotten first. This is enough for the latest turns of some hundred
/// conversations and takes a few MiB. Gemini checks only the calls since the user last spoke.
const MAX_CALLS: usize = 1_024;
/// Sent in place of an unknown signature, for calls of another engine or from before a restart. Google documents this
/// value on the same page.
const UNKNOWN: &str = "skip_thought_signature_validator";

/// The signatures of the latest calls.
#[derive(Debug, Default)]
pub(super) struct Signatures(Mutex<VecDeque<(String, Option<String>)>>);

impl Signatures {
    /// Remembers the signature of a call. Of several calls at once, only the first has one.
    pub(super) fn remember(&self, call: &str, signature: Option<String>) {
        let mut calls = lock(&self.0);
        if calls.len() == MAX_CALLS {
            calls.pop_front();
        }
        calls.push_back((call.to_owned(), signature));
    }

    /// The signature to send with a call.
    pub(super) fn of(&self, call: &str, model: &str) -> Option<String> {
        let calls = lock(&self.0);
        match calls.iter().rev().find(|(known, _)| known == call) {
            Some((_, signature)) => signature.clone(),
            None => wanted(model).then(|| UNKNOWN.to_owned()),
        }
    }
}

/// Whether the model refuses calls without a signature.
fn wanted(model: &str) -> bool {
    !model.starts_with("gemini-1") && !model.starts_with("gemini-2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_remembered_and_forgotten() {
        let signatures = Signatures::default();
        signatures.remember("a", Some("A".to_owned()));
        signatures.remember("b", None);
        let of = |call, model| signatures.of(call, model);
        assert_eq!(of("a", "gemini-3-flash").as_deref(), Some("A"));
        assert_eq!(of("b", "gemini-3-flash"), None, "made together with the first");
        assert_eq!(of("c", "gemini-3-flash").as_deref(), Some(UNKNOWN));
        assert_eq!(of("c", "gemini-2.5-flash"), None);
        for n in 0..MAX_CALLS {
            signatures.remember(&n.to_string(), None);
        }
        assert_eq!(of("a", "gemini-2.5-flash"), None, "forgotten");
    }
}
