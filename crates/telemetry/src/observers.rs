//! An observer that passes everything on to several others.

use std::sync::Arc;

use antiphon_core::{CallEnd, CallId, CallStart, Event, Observer, RequestOutcome};

/// Passes everything on to each of its observers.
pub struct Observers(pub Vec<Arc<dyn Observer>>);

impl Observer for Observers {
    fn call_started(&self, call: &CallStart) {
        for observer in &self.0 {
            observer.call_started(call);
        }
    }

    fn event(&self, call: &CallId, event: &Event) {
        for observer in &self.0 {
            observer.event(call, event);
        }
    }

    fn call_ended(&self, call: &CallStart, end: &CallEnd) {
        for observer in &self.0 {
            observer.call_ended(call, end);
        }
    }

    fn request_ended(&self, engine: &'static str, outcome: RequestOutcome) {
        for observer in &self.0 {
            observer.request_ended(engine, outcome);
        }
    }
}
