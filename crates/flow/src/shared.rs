//! Identical requests to a language model, answered by one call: [`Shared`].

mod key;
mod talk;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use antiphon_core::measure::{Component, Counter};
use antiphon_core::{BoxStream, ChatDelta, ChatRequest, Llm, Priority, Result};

use key::Key;
use talk::{Reader, Talk};

/// An engine of which identical requests in flight share one call.
///
/// Shared are requests whose answer is the same each time by their own words, those with a temperature of 0 or a seed, and
/// those whose answer may be used again anyway.
/// Others are not: to send the same request several times at once is how samples are drawn. Tools make no difference,
/// since a call of the model only names them. Requests that differ in priority and trace alone are the same, but a
/// request never joins a call that was made with less urgency than its own.
///
/// Who joins late is first told what has been said. The call is cancelled when its last reader is dropped. Requests that
/// come on two threads within the same microseconds may make a call each.
pub struct Shared {
    engine: Arc<dyn Llm>,
    calls: Arc<Calls>,
    requests: AtomicU64,
    joined: AtomicU64,
}

/// The calls in flight.
#[derive(Default)]
struct Calls(Mutex<HashMap<Key, Call>>);

struct Call {
    talk: Weak<Talk>,
    priority: Priority,
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody can join `talk` any more. A later one under the same key stays.
    fn remove(&self, key: &Key, talk: *const Talk) {
        let mut calls = self.lock();
        if calls.get(key).is_some_and(|call| std::ptr::eq(call.talk.as_ptr(), talk)) {
            calls.remove(key);
        }
    }
}

impl Shared {
    /// Shares the calls of `engine`.
    pub fn new(engine: Arc<dyn Llm>) -> Self {
        let calls = Arc::new(Calls::default());
        Self { engine, calls, requests: AtomicU64::new(0), joined: AtomicU64::new(0) }
    }

    /// Somebody else's call, if one can be joined.
    fn join(&self, key: &Key, priority: Priority) -> Option<Reader> {
        // Taken out of the lock: the last one to let go of a talk locks the calls.
        let talk = self.calls.lock().get(key).filter(|call| call.priority <= priority)?.talk.upgrade();
        talk?.join()
    }
}

impl Llm for Shared {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn model(&self) -> &str {
        self.engine.model()
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let repeatable =
            request.temperature == Some(0.0) || request.seed.is_some() || request.reuse.is_some();
        if !repeatable {
            return self.engine.chat(request);
        }
        let priority = request.priority;
        let key = Key::new(request);
        if let Some(reader) = self.join(&key, priority) {
            self.joined.fetch_add(1, Ordering::Relaxed);
            return Box::pin(reader);
        }
        let talk = Arc::new(Talk::new(self.engine.chat(key.request()), key.clone(), Arc::clone(&self.calls)));
        let reader = Reader::first(&talk);
        self.calls.lock().insert(key, Call { talk: Arc::downgrade(&talk), priority });
        Box::pin(reader)
    }

    fn prepare(&self, request: &ChatRequest) {
        self.engine.prepare(request);
    }
}

impl Component for Shared {
    fn name(&self) -> &'static str {
        "shared"
    }

    fn counters(&self) -> Vec<Counter> {
        let engine = self.engine.name();
        let count = |what, value: &AtomicU64| Counter {
            name: format!("{engine} {what}").into(),
            value: value.load(Ordering::Relaxed),
        };
        vec![count("requests", &self.requests), count("shared", &self.joined)]
    }
}
