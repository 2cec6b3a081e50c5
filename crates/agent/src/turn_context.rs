//! What is looked up for a turn: how the person feels, what is remembered of them, what is known. The default plan runs
//! all of it side by side.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{
    Emotion, EmotionClassifier, EmotionScores, Identity, Knowledge, Memory, Passage, Priority, Recollection,
    Requester, Search, Style,
};

use crate::plan::{Found, Plan, Step};
use crate::{Agent, Engines};

/// Embedding a sentence takes some 8 ms on one core (`antiphon benchmark --component embed`), and is shared by the steps;
/// a server that is ten times slower than that answers without.
const DEADLINE: Duration = Duration::from_millis(100);
/// What is remembered and known shares the prompt with the conversation: a few sentences, so that a small model is not
/// led astray and the first token not delayed.
const MAX_MEMORIES: usize = 4;
const MAX_PROFILE: usize = 4;
const MAX_PASSAGES: usize = 3;
/// "Yes", "No thanks": nothing to search with.
const MIN_WORDS: usize = 3;

/// Where the context of a turn comes from; what an agent does not have is `None`.
pub(crate) struct Sources {
    /// On whose behalf it is looked up.
    requester: Requester,
    pub(crate) emotion: Option<Arc<dyn EmotionClassifier>>,
    /// Of the person who speaks.
    pub(crate) memory: Option<Arc<dyn Memory>>,
    pub(crate) knowledge: Option<Arc<dyn Knowledge>>,
}

impl Sources {
    /// Those of a call: a caller without a name has no memories.
    pub(crate) fn new(engines: &Engines, agent: &Agent, identity: &Identity) -> Self {
        let memories = agent.memories.as_ref().zip(identity.person.as_ref());
        Self {
            requester: identity.requester(),
            emotion: engines.emotion.clone(),
            memory: memories.map(|(memories, person)| memories.of(&identity.tenant, person)),
            knowledge: agent.knowledge.clone(),
        }
    }

    /// How sure an emotion must be to be acted on.
    pub(crate) fn confidence(&self) -> f32 {
        self.emotion.as_ref().map_or(1.0, |emotion| emotion.confidence())
    }
}

/// A turn, and what was found for it.
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

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) emotion: Option<EmotionScores>,
    pub(crate) memories: Vec<Recollection>,
    pub(crate) profile: Vec<String>,
    pub(crate) passages: Vec<Passage>,
}

impl Findings {
    /// How the person seems to feel, if that is sure enough to act on.
    pub(crate) fn mood(&self, confidence: f32) -> Option<Emotion> {
        let (emotion, sure) = self.emotion.as_ref()?.top();
        (emotion != Emotion::Neutral && sure >= confidence).then_some(emotion)
    }

    /// How to sound to somebody who feels so.
    pub(crate) fn style(&self, confidence: f32) -> Style {
        match self.mood(confidence) {
            Some(Emotion::Anger | Emotion::Disgust) => Style::Calm,
            Some(Emotion::Fear) => Style::Reassuring,
            Some(Emotion::Joy) => Style::Cheerful,
            Some(Emotion::Sadness) => Style::Gentle,
            Some(Emotion::Neutral | Emotion::Surprise) | None => Style::Plain,
        }
    }

    /// Whether any of it is about the person who speaks.
    pub(crate) fn is_personal(&self) -> bool {
        !self.memories.is_empty() || !self.profile.is_empty()
    }

    /// What the language model is told of it; `None` when nothing was found.
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

/// Everything there is a source for, side by side.
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
