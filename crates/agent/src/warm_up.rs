//! Warming up. The requests that a call will send to the engines are sent before the call, at the lowest priority and
//! with exactly the same content, so that a cache below the engines holds the answers.

use std::time::Duration;

use antiphon_core::session::{IdleReply, SessionConfig};
use antiphon_core::{ConversationItem, Error, ErrorKind, Identity, ItemId, Part, Priority, Result, Role};
use tokio::time::timeout;

use crate::asking::Asking;
use crate::drained::drain;
use crate::history::History;
use crate::turn_context::{self, Sources};
use crate::{Agent, Engines};

/// A reply that was made before the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmReply {
    /// The text of the reply.
    pub text: String,
    /// The length of its audio; zero if it is only written.
    pub audio: Duration,
}

/// Makes the reply that the first `question` of a new call will get, after the greeting if there is one.
///
/// # Errors
/// `Invalid` for an empty question or an agent that never replies, `Timeout` after `within`, and errors of
/// the engines.
pub async fn warm_up_reply(
    engines: &Engines,
    agent: &Agent,
    identity: &Identity,
    question: &str,
    within: Duration,
) -> Result<WarmReply> {
    let config = &agent.session;
    if config.listening.transcribe_only {
        return Err(Error::invalid("an agent that only transcribes has no replies to warm up"));
    }
    if question.trim().is_empty() {
        return Err(Error::invalid("there is no question to warm up"));
    }
    let mut history = History::default();
    if let Some(greeting) = greeting(config) {
        let part = Part::Audio { transcript: Some(greeting.to_owned()) };
        history.push(ConversationItem::message(ItemId::new(""), Role::Assistant, part));
    }
    let reply = with_asking(engines, agent, identity, |asking| {
        asking.answer(&history, question.to_owned(), Priority::Batch)
    });
    let late = |_| {
        let message = format!("the reply to '{question}' was not made within {} s", within.as_secs());
        Error::new(ErrorKind::Timeout, message)
    };
    let made = timeout(within, drain(reply)).await.map_err(late)??;
    Ok(WarmReply { text: made.text, audio: made.audio })
}

/// Speaks one of an agent's fixed texts, so that the cache holds it. Returns the length of the audio, which is zero
/// if the agent only writes.
///
/// # Errors
/// Errors of the engine, and `Timeout` when it stalls.
pub async fn warm_up_speech(
    engines: &Engines,
    agent: &Agent,
    identity: &Identity,
    text: &str,
) -> Result<Duration> {
    let reply = with_asking(engines, agent, identity, |asking| asking.say(text, Priority::Batch));
    Ok(drain(reply).await?.audio)
}

/// The texts that an agent says without a model, each once: the greeting, what it says while the model lets a person wait, the
/// apology, the goodbye and, if it speaks up after
/// silence, what it says then.
pub fn fixed_texts(config: &SessionConfig) -> Vec<&str> {
    if config.listening.transcribe_only {
        return Vec::new();
    }
    let mut texts = vec![config.sayings.greeting.as_str(), &config.sayings.apology];
    if config.listening.turns.as_ref().is_some_and(|turns| turns.reprompt.is_some())
        && let IdleReply::Say(idle) = &config.sayings.idle
    {
        texts.extend(idle.iter().map(String::as_str));
    }
    texts.extend(config.sayings.waiting.iter().map(String::as_str));
    texts.push(&config.sayings.goodbye);
    let mut once: Vec<&str> = Vec::with_capacity(texts.len());
    for text in texts {
        if !text.trim().is_empty() && !once.contains(&text) {
            once.push(text);
        }
    }
    once
}

/// What an agent says first, if it says anything.
pub(crate) fn greeting(config: &SessionConfig) -> Option<&str> {
    Some(config.sayings.greeting.as_str())
        .filter(|text| !text.trim().is_empty() && !config.listening.transcribe_only)
}

/// Makes requests as a call that has just begun would.
fn with_asking<R>(
    engines: &Engines,
    agent: &Agent,
    identity: &Identity,
    ask: impl FnOnce(&Asking<'_>) -> R,
) -> R {
    let sources = Sources::new(engines, agent, identity);
    let lookup = turn_context::plan(&sources);
    let config = &agent.session;
    ask(&Asking { engines, agent, identity, config, sources: &sources, lookup: &lookup, trace: None })
}
