//! Asks the language model whether two answers to a question say the same.
//!
//! A semantic cache is only as good as the labels it learns from. So the model is examined before its judgement counts: it
//! gets pairs of answers that say the same and pairs that nearly do. A model that takes one of the latter for the same, as the
//! smallest do, is not asked any more, and nothing is learned from it.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{ChatDelta, ChatRequest, Llm, Message, Priority, Requester, Role};
use futures_util::StreamExt;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::guards::{Guard, differs, says};
use crate::question::normalise;

/// The instructions of the model.
const INSTRUCTIONS: &str = "You compare two answers that an assistant gave to the same person. Reply with one word only: \
    yes if both tell the person the same, so that one can stand for the other; no if they differ in any fact, name, \
    number or advice.";
/// The most tokens of an answer: one word, with room for quotes and white space.
const MAX_TOKENS: u32 = 8;
/// How long an answer may take: nobody waits for it, but others wait to be judged.
const WITHIN: Duration = Duration::from_secs(30);
/// The facts that must be equal in answers that say the same, whatever their words.
const FACTS: [Guard; 3] = [Guard::Number, Guard::Unit, Guard::Date];
/// How many pairs of the examination that say the same may be taken for different, which costs hits but causes no wrong replies.
const MISSED: usize = 1;

/// What a model must tell apart before its judgement counts. Each line has the expected verdict, `same` or `different`, a
/// question and two answers, separated by tabs.
pub const EXAMINATION: &str = include_str!("examination.tsv");

/// A language model that compares answers.
pub(super) struct Judge {
    engine: Arc<dyn Llm>,
    fit: OnceCell<bool>,
}

impl Judge {
    pub(super) fn new(engine: Arc<dyn Llm>) -> Self {
        Self { engine, fit: OnceCell::new() }
    }

    /// Whether it has passed the examination; `None` before.
    pub(super) fn is_fit(&self) -> Option<bool> {
        self.fit.get().copied()
    }

    /// Whether both answers say the same; `None` if that cannot be decided.
    pub(super) async fn same(&self, requester: &Requester, question: &str, a: &str, b: &str) -> Option<bool> {
        if normalise(a) == normalise(b) || differs(a, b).is_none() {
            return Some(true);
        }
        let facts = |text: &str| FACTS.map(|guard| says(text, guard));
        if facts(a) != facts(b) {
            return Some(false);
        }
        let fit = self.fit.get_or_try_init(|| async { self.examine(requester).await.ok_or(()) }).await;
        if !fit.is_ok_and(|fit| *fit) {
            return None;
        }
        self.ask_both_ways(requester, question, a, b).await
    }

    /// Whether the model's judgement can be relied on; `None` if it could not be asked.
    async fn examine(&self, requester: &Requester) -> Option<bool> {
        let mut missed = 0;
        for line in EXAMINATION.lines() {
            let [expected, question, a, b] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
            let (said, expected) = (self.ask_both_ways(requester, question, a, b).await, expected == "same");
            match said {
                None => return None,
                Some(true) if !expected => return Some(self.failed(question)),
                Some(false) if expected => missed += 1,
                Some(_) => {}
            }
            if missed > MISSED {
                return Some(self.failed(question));
            }
        }
        Some(true)
    }

    fn failed(&self, question: &str) -> bool {
        tracing::warn!(
            model = self.engine.card().model,
            example = question,
            "the language model cannot tell answers apart: no reply is given to a question in other words; \
             set [cache] reply = \"exact\" or use a more able model"
        );
        false
    }

    /// Asks in both orders, because models prefer the first answer or the second: both verdicts must be "the same".
    async fn ask_both_ways(&self, requester: &Requester, question: &str, a: &str, b: &str) -> Option<bool> {
        Some(self.ask(requester, question, a, b).await? && self.ask(requester, question, b, a).await?)
    }

    async fn ask(&self, requester: &Requester, question: &str, first: &str, second: &str) -> Option<bool> {
        let asked = format!(
            "Question: {question}\n\nFirst answer: {first}\n\nSecond answer: {second}\n\nDo both answers say the same?"
        );
        let messages = vec![Message::new(Role::System, INSTRUCTIONS), Message::new(Role::User, asked)];
        let request = ChatRequest {
            temperature: Some(0.0),
            max_tokens: Some(MAX_TOKENS),
            priority: Priority::Batch,
            ..ChatRequest::new(requester.clone(), messages)
        };
        let said = async {
            let mut answer = self.engine.chat(request);
            let mut said = String::new();
            while let Some(delta) = answer.next().await {
                match delta.ok()? {
                    ChatDelta::Text(text) => said.push_str(&text),
                    ChatDelta::Done { .. } => return Some(said),
                    _ => {}
                }
            }
            None
        };
        // Anything but "yes" counts as no, also the chatter of a model that ignores its instructions.
        Some(yes(&timeout(WITHIN, said).await.ok()??))
    }
}

fn yes(said: &str) -> bool {
    let word: String =
        said.chars().skip_while(|c| !c.is_alphabetic()).take_while(|c| c.is_alphabetic()).collect();
    word.eq_ignore_ascii_case("yes")
}
