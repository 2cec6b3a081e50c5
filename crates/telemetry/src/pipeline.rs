//! The steps of the pipeline as components, measured from the events of all calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use antiphon_core::measure::{Component, Counter, Stage};
use antiphon_core::{CallEnd, CallId, CallStart, Event, Observer, RequestOutcome, StepOutcome, StepReport};

/// What a lookup counts beside its spans. A late step also counts as an error, because the reply was made without it.
const LOOKUP_COUNTERS: [&str; 2] = ["skipped", "late"];

/// A component that has only stages and counters.
#[derive(Debug)]
struct Part {
    name: &'static str,
    stages: Vec<Stage>,
    counters: Vec<(&'static str, AtomicU64)>,
}

impl Part {
    fn new(name: &'static str, stages: &[&'static str], counters: &[&'static str]) -> Arc<Self> {
        let stages = stages.iter().map(|name| Stage::new(name)).collect();
        let counters = counters.iter().map(|name| (*name, AtomicU64::new(0))).collect();
        Arc::new(Self { name, stages, counters })
    }

    /// Records a span. A stage with zero time did not take place: a typed turn, for example, is not transcribed.
    fn took(&self, stage: usize, span: Duration) {
        if !span.is_zero() {
            self.stages[stage].record(span);
        }
    }

    fn count(&self, counter: usize, by: u64) {
        self.counters[counter].1.fetch_add(by, Ordering::Relaxed);
    }
}

impl Component for Part {
    fn name(&self) -> &'static str {
        self.name
    }

    fn stages(&self) -> Vec<&Stage> {
        self.stages.iter().collect()
    }

    fn counters(&self) -> Vec<Counter> {
        let read =
            |(name, value): &(&'static str, AtomicU64)| Counter::new(*name, value.load(Ordering::Relaxed));
        self.counters.iter().map(read).collect()
    }
}

/// Measures the steps of all calls.
#[derive(Debug)]
pub struct Pipeline {
    whole: Arc<Part>,
    turn: Arc<Part>,
    stt: Arc<Part>,
    llm: Arc<Part>,
    tts: Arc<Part>,
    transport: Arc<Part>,
    /// The lookups of a turn; their stages have the names of the plan's steps. Emotion is missing, because its engine
    /// measures it.
    lookups: [Arc<Part>; 2],
}

impl Default for Pipeline {
    fn default() -> Self {
        Self {
            whole: Part::new("pipeline", &["total", "overhead"], &["turns", "interruptions", "failures"]),
            turn: Part::new("turn", &["end_of_turn", "interruption"], &["dropped"]),
            stt: Part::new("stt", &["transcription"], &["failures"]),
            llm: Part::new("llm", &["first_token"], &["input_tokens", "cached_tokens", "output_tokens"]),
            tts: Part::new("tts", &["first_audio"], &[]),
            lookups: [
                Part::new("memory", &["memory", "profile"], &LOOKUP_COUNTERS),
                Part::new("knowledge", &["knowledge"], &LOOKUP_COUNTERS),
            ],
            transport: Part::new(
                "transport",
                &["receive", "send"],
                &["calls", "completed", "lost", "drained"],
            ),
        }
    }
}

impl Pipeline {
    /// The components, in the order in which a turn passes them.
    pub fn components(&self) -> Vec<Arc<dyn Component>> {
        let parts = [&self.whole, &self.turn, &self.stt, &self.llm, &self.tts, &self.transport];
        let parts = parts.into_iter().chain(&self.lookups);
        parts.map(|part| part.clone() as Arc<dyn Component>).collect()
    }

    fn looked_up(&self, report: &StepReport) {
        let of_step = |part: &&Arc<Part>| part.stages.iter().any(|stage| stage.name() == report.name);
        let Some(part) = self.lookups.iter().find(of_step) else { return };
        let Some(stage) = part.stages.iter().find(|stage| stage.name() == report.name) else { return };
        match report.outcome {
            StepOutcome::Done => stage.record(report.took),
            StepOutcome::Skipped => part.count(0, 1),
            StepOutcome::Late => {
                part.count(1, 1);
                stage.fail();
            }
            StepOutcome::Failed => stage.fail(),
        }
    }

    /// Records how long a transport took to decode a message.
    pub fn received(&self, span: Duration) {
        self.transport.stages[0].record(span);
    }

    /// Records how long a transport took to encode and queue a message.
    pub fn sent(&self, span: Duration) {
        self.transport.stages[1].record(span);
    }
}

impl Observer for Pipeline {
    fn call_started(&self, _: &CallStart) {
        self.transport.count(0, 1);
    }

    fn event(&self, _: &CallId, event: &Event) {
        match event {
            Event::Latency { latency, .. } => {
                self.whole.count(0, 1);
                self.whole.took(0, latency.total);
                self.whole.stages[1].record(latency.overhead);
                self.turn.took(0, latency.end_of_turn);
                self.stt.took(0, latency.stt);
                self.llm.took(0, latency.llm_ttft);
                self.tts.took(0, latency.tts_ttfb);
            }
            Event::TurnContext { steps, .. } => steps.iter().for_each(|report| self.looked_up(report)),
            Event::Interrupted { latency, .. } => {
                self.whole.count(1, 1);
                self.turn.took(1, latency.unwrap_or_default());
            }
            Event::SpeechDropped { .. } => self.turn.count(0, 1),
            Event::Failed(_) => {
                self.whole.stages[0].fail();
                self.whole.count(2, 1);
            }
            Event::UserTextFailed { .. } => {
                self.stt.stages[0].fail();
                self.stt.count(0, 1);
            }
            Event::ReplyDone { usage, .. } => {
                self.llm.count(0, usage.input_tokens);
                self.llm.count(1, usage.cached_tokens);
                self.llm.count(2, usage.output_tokens);
            }
            _ => {}
        }
    }

    fn call_ended(&self, _: &CallStart, end: &CallEnd) {
        self.transport.count(1 + end.outcome() as usize, 1);
    }

    fn request_ended(&self, _: &'static str, _: RequestOutcome) {}
}

#[cfg(test)]
mod tests {
    use antiphon_core::{HangUpReason, TurnId, TurnLatency};

    use super::*;

    #[test]
    fn a_turn_is_timed_in_every_component_it_passed() {
        let pipeline = Pipeline::default();
        let call = CallId::new("c");
        let start = crate::testing::call("c", "talk");
        pipeline.call_started(&start);
        let ms = Duration::from_millis;
        let latency = TurnLatency { end_of_turn: ms(224), total: ms(400), ..TurnLatency::default() };
        pipeline
            .event(&call, &Event::Latency { turn: TurnId(1), latency, steps: Vec::new(), from_cache: None });
        pipeline.call_ended(&start, &CallEnd::Server(HangUpReason::Draining));
        let components = pipeline.components();
        let stage = |component: usize, stage: usize| components[component].stages()[stage].spans().snapshot();
        assert_eq!(stage(0, 0).max(), ms(400));
        assert_eq!(stage(1, 0).max(), ms(224));
        assert_eq!(stage(2, 0).count(), 0, "nothing was transcribed");
        let ended = components[5].counters().into_iter().find(|counter| counter.name == "drained");
        assert_eq!(ended.map(|counter| counter.value), Some(1));
    }
}
