//! An observer that is named later: engines are built before whoever watches them.

use std::sync::{Arc, OnceLock};

use antiphon_core::{CallEnd, CallId, CallStart, Event, Observer, RequestOutcome};

/// Tells whoever is named; until then nobody is told.
#[derive(Default)]
pub struct LateObserver(OnceLock<Arc<dyn Observer>>);

impl LateObserver {
    /// From now on `observer` is told. Only the first one is.
    pub fn tell(&self, observer: Arc<dyn Observer>) {
        // Who came first stays.
        let _ = self.0.set(observer);
    }
}

impl Observer for LateObserver {
    fn call_started(&self, call: &CallStart) {
        if let Some(observer) = self.0.get() {
            observer.call_started(call);
        }
    }

    fn event(&self, call: &CallId, event: &Event) {
        if let Some(observer) = self.0.get() {
            observer.event(call, event);
        }
    }

    fn call_ended(&self, call: &CallStart, end: &CallEnd) {
        if let Some(observer) = self.0.get() {
            observer.call_ended(call, end);
        }
    }

    fn request_ended(&self, engine: &'static str, outcome: RequestOutcome) {
        if let Some(observer) = self.0.get() {
            observer.request_ended(engine, outcome);
        }
    }
}
