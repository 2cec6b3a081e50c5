//! An answer on its way from the engine, of which a copy is kept.

use std::sync::Arc;

use antiphon_core::{BoxStream, ChatDelta, FinishReason, Result};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::Instant;

use super::{Question, ReplyRules};
use crate::by_meaning::{SemanticReplies, Trial};
use crate::question::{normalise, tells_the_time};
use crate::{Cache, Draft};

/// The longest answer that is kept, in bytes: nobody listens to ten minutes of speech.
const MAX_ANSWER: usize = 8_192;

/// A model's answer, which is passed on and, once it is complete, put into the cache.
pub(super) struct KeptAnswer {
    pub(super) answers: BoxStream<'static, Result<ChatDelta>>,
    pub(super) cache: Arc<Cache>,
    pub(super) question: Question,
    pub(super) rules: ReplyRules,
    pub(super) asked: Instant,
    /// `None` once it is known that the answer will not be kept.
    pub(super) said: Option<PartialAnswer>,
    /// Learns the answers that are kept, so that they are found by their meaning.
    pub(super) semantic: Option<Arc<SemanticReplies>>,
    /// An answer in the cache that this one is to be compared with.
    pub(super) trial: Option<Trial>,
}

/// The answer so far.
#[derive(Default)]
pub(super) struct PartialAnswer {
    text: String,
    first: Option<Instant>,
}

impl KeptAnswer {
    pub(super) async fn next(mut self) -> Option<(Result<ChatDelta>, Self)> {
        let delta = self.answers.next().await?;
        self.take(&delta);
        Some((delta, self))
    }

    fn take(&mut self, delta: &Result<ChatDelta>) {
        let Some(mut said) = self.said.take() else { return };
        match delta {
            Ok(ChatDelta::Text(text)) if said.text.len() + text.len() <= MAX_ANSWER => {
                said.first.get_or_insert_with(Instant::now);
                said.text.push_str(text);
                self.said = Some(said);
            }
            Ok(ChatDelta::Done { finish: FinishReason::Stop, .. }) => self.keep(said),
            _ => {}
        }
    }

    fn keep(&mut self, said: PartialAnswer) {
        let PartialAnswer { text, first } = said;
        let Some(first) = first.filter(|_| !text.trim().is_empty()) else { return };
        if !self.rules.time_dependent && tells_the_time(&normalise(&text)) {
            return;
        }
        let trial = self.trial.take().map(|trial| (trial, text.clone()));
        let Question { tenant, keys, also, label, priority, .. } = &self.question;
        if let Some(semantic) = &self.semantic
            && let Some(answered) = self.question.answered(&keys[0], trial)
        {
            semantic.learn(answered);
        }
        let value = Bytes::from(text);
        for &key in keys.first().into_iter().chain(also) {
            self.cache.put(Draft {
                key,
                tenant: tenant.clone(),
                label: label.clone(),
                value: value.clone(),
                cost: first.duration_since(self.asked),
                priority: *priority,
            });
        }
    }
}
