//! An observer that is set later, because engines are built before the observers of their requests.

use std::sync::{Arc, OnceLock};

use antiphon_core::{CallEnd, CallId, CallStart, Event, Observer, RequestOutcome};

/// Passes everything on to an observer, once there is one.
#[derive(Default)]
pub struct LateObserver(OnceLock<Arc<dyn Observer>>);

impl LateObserver {
    /// Passes everything on to `observer` from now on. Only the first call has an effect.
    pub fn tell(&self, observer: Arc<dyn Observer>) {
        // An observer that is set already stays.
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
