//! The context of a turn, which is looked up before the model is asked: how the person feels, what is remembered of
//! them, and what is known. The default plan looks up all of it concurrently.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{
    Emotion, EmotionClassifier, EmotionScores, Identity, Knowledge, Memory, Passage, Priority, Recollection,
    Requester, Search, Style,
};

use crate::plan::{Found, Plan, Step};
use crate::{Agent, Engines};

/// How long each lookup may take. Embedding a sentence takes about 8 ms on one core (`antiphon benchmark --component
/// embed`), and the lookups share it. A server that is ten times slower than that answers without the context.
const DEADLINE: Duration = Duration::from_millis(100);
/// Most memories, profile entries and passages of knowledge in the prompt. They share it with the conversation, so
/// they are limited to a few sentences. More could mislead a small model, and would delay the first token.
const MAX_MEMORIES: usize = 4;
const MAX_PROFILE: usize = 4;
const MAX_PASSAGES: usize = 3;
/// Fewest words for a search. "Yes" or "No thanks" hold nothing to search for.
const MIN_WORDS: usize = 3;

/// The sources of a turn's context. Those that an agent does not have are `None`.
pub(crate) struct Sources {
    /// On whose behalf the context is looked up.
    requester: Requester,
    pub(crate) emotion: Option<Arc<dyn EmotionClassifier>>,
    /// The memory of the person who speaks.
    pub(crate) memory: Option<Arc<dyn Memory>>,
    pub(crate) knowledge: Option<Arc<dyn Knowledge>>,
}

impl Sources {
    /// The sources of a call. A caller without a name has no memories.
    pub(crate) fn new(engines: &Engines, agent: &Agent, identity: &Identity) -> Self {
        let memories = agent.memories.as_ref().zip(identity.person.as_ref());
        Self {
            requester: identity.requester(),
            emotion: engines.emotion.clone(),
            memory: memories.map(|(memories, person)| memories.of(&identity.tenant, person)),
            knowledge: agent.knowledge.clone(),
        }
    }

    /// The least confidence at which an emotion is acted on, from 0 to 1.
    pub(crate) fn confidence(&self) -> f32 {
        self.emotion.as_ref().map_or(1.0, |emotion| emotion.confidence())
    }
}

/// A turn, and the context that was found for it.
pub(crate) struct TurnContext {
    /// What the person said.
    text: String,
    priority: Priority,
    pub(crate) found: Findings,
}

impl TurnContext {
    pub(crate) fn new(text: String, priority: Priority) -> Self {
        Self { text, priority, found: Findings::default() }
    }

    fn is_short(&self) -> bool {
        self.text.split_whitespace().nth(MIN_WORDS - 1).is_none()
    }
}

/// The context that was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) emotion: Option<EmotionScores>,
    pub(crate) memories: Vec<Recollection>,
    pub(crate) profile: Vec<String>,
    pub(crate) passages: Vec<Passage>,
}

impl Findings {
    /// How the person seems to feel, if the confidence is high enough to act on it.
    pub(crate) fn mood(&self, confidence: f32) -> Option<Emotion> {
        let (emotion, sure) = self.emotion.as_ref()?.top();
        (emotion != Emotion::Neutral && sure >= confidence).then_some(emotion)
    }

    /// How to speak to a person who feels like this.
    pub(crate) fn style(&self, confidence: f32) -> Style {
        match self.mood(confidence) {
            Some(Emotion::Anger | Emotion::Disgust) => Style::Calm,
            Some(Emotion::Fear) => Style::Reassuring,
            Some(Emotion::Joy) => Style::Cheerful,
            Some(Emotion::Sadness) => Style::Gentle,
            Some(Emotion::Neutral | Emotion::Surprise) | None => Style::Plain,
        }
    }

    /// Whether any of it concerns the person who speaks.
    pub(crate) fn is_personal(&self) -> bool {
        !self.memories.is_empty() || !self.profile.is_empty()
    }

    /// The context in words for the language model; `None` when nothing was found.
    pub(crate) fn prompt(&self, confidence: f32) -> Option<String> {
        let mut parts = Vec::new();
        let mut list = |title: &str, lines: &[&str]| {
            if !lines.is_empty() {
                parts.push(format!("{title}\n- {}", lines.join("\n- ")));
            }
        };
        let passages: Vec<_> = self.passages.iter().map(|passage| passage.text.as_str()).collect();
        let profile: Vec<_> = self.profile.iter().map(String::as_str).collect();
        let memories: Vec<_> = self.memories.iter().map(|memory| memory.text.as_str()).collect();
        list("Facts that may answer the question:", &passages);
        list("About the person:", &profile);
        list("The person said earlier:", &memories);
        if let Some(mood) = self.mood(confidence) {
            parts.push(format!("The person's words sound of {}.", mood.label()));
        }
        (!parts.is_empty()).then(|| parts.join("\n"))
    }
}

/// The plan that looks up everything for which there is a source, concurrently.
pub(crate) fn plan(sources: &Sources) -> Arc<Plan<TurnContext>> {
    let mut steps = Vec::new();
    if let Some(emotion) = sources.emotion.clone() {
        let step = Step::new("emotion", DEADLINE, move |turn: &TurnContext| {
            let scores = emotion.classify(turn.text.clone(), turn.priority);
            async move {
                let scores = scores.await?;
                Ok(Box::new(move |turn: &mut TurnContext| turn.found.emotion = Some(scores))
                    as Found<TurnContext>)
            }
        });
        steps.push(step.skipped_if(|turn| turn.text.trim().is_empty()));
    }
    if let Some(memory) = sources.memory.clone() {
        let (known, recalls) = (memory.clone(), sources.requester.clone());
        let step = Step::new("memory", DEADLINE, move |turn: &TurnContext| {
            let memories = memory.recall(search(&recalls, turn, MAX_MEMORIES));
            async move {
                let memories = memories.await?;
                Ok(Box::new(move |turn: &mut TurnContext| turn.found.memories = memories)
                    as Found<TurnContext>)
            }
        });
        steps.push(step.skipped_if(TurnContext::is_short));
        let step = Step::new("profile", DEADLINE, move |_: &TurnContext| {
            let profile = known.profile(MAX_PROFILE);
            async move {
                let profile = profile.await?;
                Ok(Box::new(move |turn: &mut TurnContext| turn.found.profile = profile) as Found<TurnContext>)
            }
        });
        steps.push(step.skipped_if(|turn| turn.text.trim().is_empty()));
    }
    if let Some(knowledge) = sources.knowledge.clone() {
        let requester = sources.requester.clone();
        let step = Step::new("knowledge", DEADLINE, move |turn: &TurnContext| {
            let passages = knowledge.search(search(&requester, turn, MAX_PASSAGES));
            async move {
                let passages = passages.await?;
                Ok(Box::new(move |turn: &mut TurnContext| turn.found.passages = passages)
                    as Found<TurnContext>)
            }
        });
        steps.push(step.skipped_if(TurnContext::is_short));
    }
    Arc::new(Plan::default().then(steps))
}

/// A search for what the person's words are about.
fn search(requester: &Requester, turn: &TurnContext, limit: usize) -> Search {
    Search { requester: requester.clone(), about: turn.text.clone(), limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feeling(emotion: Emotion, sure: f32) -> Findings {
        let mut scores = [(1.0 - sure) / 6.0; 7];
        scores[emotion as usize] = sure;
        Findings { emotion: Some(EmotionScores(scores)), ..Findings::default() }
    }

    #[test]
    fn a_mood_is_spoken_of_only_when_it_is_sure() {
        let angry = feeling(Emotion::Anger, 0.8);
        assert_eq!((angry.mood(0.6), angry.style(0.6)), (Some(Emotion::Anger), Style::Calm));
        assert_eq!((angry.mood(0.9), angry.style(0.9), angry.prompt(0.9)), (None, Style::Plain, None));
        assert_eq!(feeling(Emotion::Neutral, 0.9).mood(0.6), None);
    }

    #[test]
    fn the_prompt_holds_what_was_found() {
        let passage =
            Passage { text: "We open at nine.".to_owned(), source: "faq".to_owned(), relevance: 0.8 };
        let memory = Recollection { text: "I have a dog.".to_owned(), relevance: 0.7 };
        let found = Findings {
            memories: vec![memory],
            profile: vec!["My name is Ada.".to_owned()],
            passages: vec![passage],
            ..feeling(Emotion::Joy, 0.9)
        };
        let prompt = found.prompt(0.6).expect("something was found");
        for part in ["We open at nine.", "My name is Ada.", "I have a dog.", "joy"] {
            assert!(prompt.contains(part), "{prompt}");
        }
    }
}
