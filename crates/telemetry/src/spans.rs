//! OpenTelemetry spans of calls, nested as conversation > turn > step, and of REST requests, as OTLP requests ready to be posted.
//!
//! Spans are made afterwards from the events of a call, so that no turn waits for them. Names and attributes follow
//! the semantic conventions for generative AI where these define any.

mod requests;

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::Mutex;

use antiphon_core::measure::{Component, Counter, Level};
use antiphon_core::trace::TraceContext;
use antiphon_core::{
    CallEnd, CallId, CallStart, Event, Observer, ReplyStatus, RequestOutcome, Step, TurnId, Usage, lock,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span, status};
use prost::Message;
use rand::Rng;

pub use self::requests::OpenRequest;
use crate::clock::unix_time;

/// Spans that may wait to be sent. Beyond it the oldest are dropped.
const MAX_WAITING: usize = 8_192;

/// Observes calls and makes spans of them.
pub struct SpanRecorder {
    resource: Resource,
    /// The name of the language model's engine, and that of the model.
    model: (String, String),
    state: Mutex<RecorderState>,
}

#[derive(Default)]
struct RecorderState {
    calls: HashMap<CallId, OpenCall>,
    /// Finished spans that wait to be sent, the latest last.
    ended: VecDeque<Span>,
    dropped: u64,
}

/// A call whose span has not ended yet.
struct OpenCall {
    start: CallStart,
    /// When it began, in nanoseconds since 1970.
    began: u64,
    /// How many turns there were so far.
    turns: i64,
    /// The message of the error that an engine reported last; `None` if none failed.
    failed: Option<String>,
    /// The turn being answered.
    turn: Option<OpenTurn>,
}

struct OpenTurn {
    id: TurnId,
    /// When the person stopped speaking, in nanoseconds since 1970.
    speech_end: u64,
    steps: Vec<Step>,
    usage: Usage,
    interrupted: bool,
}

impl SpanRecorder {
    /// A recorder for a server that is called `service` and answers with this engine and model.
    pub fn new(service: &str, version: &str, llm: &str, model: &str) -> Self {
        let attributes = vec![text("service.name", service), text("service.version", version)];
        let resource = Resource { attributes, ..Resource::default() };
        Self { resource, model: (llm.to_owned(), model.to_owned()), state: Mutex::default() }
    }

    /// The next request to a collector, with at most `max` spans, in protobuf; `None` when there is nothing to send.
    pub fn take_request(&self, max: usize) -> Option<Vec<u8>> {
        let mut state = lock(&self.state);
        let count = state.ended.len().min(max);
        let spans: Vec<Span> = state.ended.drain(..count).collect();
        drop(state);
        if spans.is_empty() {
            return None;
        }
        let scope = InstrumentationScope { name: "antiphon".to_owned(), ..InstrumentationScope::default() };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
        let resource = Some(self.resource.clone());
        let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
        Some(ExportTraceServiceRequest { resource_spans }.encode_to_vec())
    }

    /// The spans of the open turn and of its steps.
    fn end_turn(&self, open: &mut OpenCall) -> Vec<Span> {
        let Some(turn) = open.turn.take() else { return Vec::new() };
        let own = open.start.trace.child(new_span_id());
        let at = |micros: i64| turn.speech_end.saturating_add_signed(micros.saturating_mul(1_000));
        let first = turn.steps.iter().map(|step| step.start_us).min().unwrap_or(0).min(0);
        let mut attributes = vec![
            text("call_id", open.start.id.as_str()),
            number("antiphon.turn", i64::from(turn.id.0)),
            text("antiphon.transport", open.start.transport),
        ];
        if turn.interrupted {
            attributes.push(KeyValue {
                value: Some(any(Value::BoolValue(true))),
                ..text("antiphon.interrupted", "")
            });
        }
        let mut spans =
            vec![Span { attributes, ..span("turn", own, open.start.trace, at(first), unix_nanos()) }];
        for step in &turn.steps {
            let id = own.child(new_span_id());
            let mut made = span(step.name, id, own, at(step.start_us), at(step.end_us));
            made.attributes.push(text("call_id", open.start.id.as_str()));
            if step.name == "llm" {
                made.name = format!("chat {}", self.model.1);
                made.kind = span::SpanKind::Client.into();
                made.attributes.extend([
                    text("gen_ai.operation.name", "chat"),
                    text("gen_ai.provider.name", &self.model.0),
                    text("gen_ai.request.model", &self.model.1),
                    text("gen_ai.conversation.id", open.start.id.as_str()),
                    number("gen_ai.usage.input_tokens", turn.usage.input_tokens as i64),
                    number("gen_ai.usage.output_tokens", turn.usage.output_tokens as i64),
                ]);
            }
            spans.push(made);
        }
        spans
    }
}

impl Component for SpanRecorder {
    fn name(&self) -> &'static str {
        "traces"
    }

    /// Spans that were dropped because too many waited.
    fn counters(&self) -> Vec<Counter> {
        vec![Counter::new("dropped", lock(&self.state).dropped)]
    }

    fn levels(&self) -> Vec<Level> {
        vec![
            Level::new("waiting", lock(&self.state).ended.len() as f64, "spans")
                .with_limit(MAX_WAITING as f64),
        ]
    }
}

impl RecorderState {
    fn push(&mut self, spans: Vec<Span>) {
        self.ended.extend(spans);
        while self.ended.len() > MAX_WAITING {
            self.ended.pop_front();
            self.dropped += 1;
        }
    }
}

impl Observer for SpanRecorder {
    fn call_started(&self, call: &CallStart) {
        if call.trace.sampled {
            let began = unix_nanos();
            let open = OpenCall { start: call.clone(), began, turns: 0, failed: None, turn: None };
            lock(&self.state).calls.insert(call.id.clone(), open);
        }
    }

    fn event(&self, call: &CallId, event: &Event) {
        if !matches!(event, Event::Latency { .. } | Event::ReplyDone { .. } | Event::Failed(_)) {
            return;
        }
        let mut state = lock(&self.state);
        let Some(open) = state.calls.get_mut(call) else { return };
        let mut ended = Vec::new();
        match event {
            Event::Latency { turn, latency, steps, .. } => {
                ended = self.end_turn(open);
                open.turns += 1;
                let total = u64::try_from(latency.total.as_nanos()).unwrap_or_default();
                open.turn = Some(OpenTurn {
                    id: *turn,
                    speech_end: unix_nanos().saturating_sub(total),
                    steps: steps.clone(),
                    usage: Usage::default(),
                    interrupted: false,
                });
            }
            Event::ReplyDone { turn, usage, status, .. } => {
                if let Some(answered) = open.turn.as_mut().filter(|answered| answered.id == *turn) {
                    answered.usage = *usage;
                    answered.interrupted = *status == ReplyStatus::Interrupted;
                    ended = self.end_turn(open);
                }
            }
            Event::Failed(error) => open.failed = Some(error.to_string()),
            _ => {}
        }
        state.push(ended);
    }

    fn call_ended(&self, call: &CallStart, end: &CallEnd) {
        let mut state = lock(&self.state);
        let Some(mut open) = state.calls.remove(&call.id) else { return };
        let mut spans = self.end_turn(&mut open);
        let own = open.start.trace;
        let mut whole = span("conversation", own, own, open.began, unix_nanos());
        whole.kind = span::SpanKind::Server.into();
        whole.parent_span_id =
            open.start.parent.map(|parent| parent.span_id.get().to_be_bytes().to_vec()).unwrap_or_default();
        whole.attributes = vec![
            text("call_id", open.start.id.as_str()),
            text("gen_ai.conversation.id", open.start.id.as_str()),
            text("antiphon.transport", open.start.transport),
            text("antiphon.outcome", end.outcome().label()),
            text("antiphon.end_reason", end.reason()),
            text("antiphon.tenant", open.start.identity.tenant.as_str()),
            text("antiphon.agent", open.start.identity.agent.as_str()),
            number("antiphon.turns", open.turns),
        ];
        if let Some(message) = open.failed {
            whole.status = Some(Status { code: status::StatusCode::Error.into(), message });
        }
        spans.push(whole);
        state.push(spans);
    }

    fn request_ended(&self, _: &'static str, _: RequestOutcome) {}
}

fn span(name: &str, own: TraceContext, parent: TraceContext, from: u64, to: u64) -> Span {
    Span {
        trace_id: own.trace_id.get().to_be_bytes().to_vec(),
        span_id: own.span_id.get().to_be_bytes().to_vec(),
        parent_span_id: parent.span_id.get().to_be_bytes().to_vec(),
        name: name.to_owned(),
        kind: span::SpanKind::Internal.into(),
        start_time_unix_nano: from,
        end_time_unix_nano: to.max(from),
        // The lowest bit of the flags means that the trace is sampled.
        flags: 1,
        ..Span::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(any(Value::StringValue(value.to_owned()))),
        ..KeyValue::default()
    }
}

fn number(key: &str, value: i64) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(Value::IntValue(value))), ..KeyValue::default() }
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn new_span_id() -> NonZeroU64 {
    rand::rng().random()
}

fn unix_nanos() -> u64 {
    u64::try_from(unix_time().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use antiphon_core::{ReplyId, TurnLatency};

    use super::*;

    fn spans(recorder: &SpanRecorder) -> Vec<Span> {
        let bytes = recorder.take_request(100).expect("something to send");
        let request = ExportTraceServiceRequest::decode(bytes.as_slice()).expect("OTLP");
        request.resource_spans.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans).collect()
    }

    #[test]
    fn a_call_becomes_a_tree_within_the_callers_trace() {
        let recorder = SpanRecorder::new("antiphon", "0.1.0", "openai", "m");
        let parent: TraceContext =
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("valid");
        let trace = parent.child(NonZeroU64::MIN);
        let id = CallId::new("call_1");
        let start = CallStart::new(id.clone(), crate::testing::nobody(), "talk", trace);
        let start = CallStart { parent: Some(parent), ..start };
        recorder.call_started(&start);
        assert!(recorder.take_request(100).is_none(), "nothing is over");
        let latency = TurnLatency { total: Duration::from_millis(400), ..TurnLatency::default() };
        let steps = vec![
            Step { name: "stt", start_us: -20_000, end_us: 60_000 },
            Step { name: "llm", start_us: 60_000, end_us: 200_000 },
        ];
        recorder.event(&id, &Event::Latency { turn: TurnId(1), latency, steps, from_cache: None });
        let usage = Usage { input_tokens: 7, cached_tokens: 0, output_tokens: 5 };
        recorder.event(
            &id,
            &Event::ReplyDone {
                reply: ReplyId::new("r"),
                turn: TurnId(1),
                status: ReplyStatus::Completed,
                usage,
                output: Vec::new(),
                from_cache: None,
            },
        );
        recorder.call_ended(&start, &CallEnd::Caller);
        let spans = spans(&recorder);
        let named = |name: &str| spans.iter().find(|span| span.name == name).expect("a span");
        let (whole, turn, stt, llm) = (named("conversation"), named("turn"), named("stt"), named("chat m"));
        assert!(spans.iter().all(|span| span.trace_id == whole.trace_id));
        assert_eq!(whole.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
        assert_eq!(turn.parent_span_id, whole.span_id);
        assert_eq!((&stt.parent_span_id, &llm.parent_span_id), (&turn.span_id, &turn.span_id));
        assert_eq!(stt.end_time_unix_nano - stt.start_time_unix_nano, 80_000_000);
        assert_eq!(turn.start_time_unix_nano, stt.start_time_unix_nano);
        assert!(llm.attributes.contains(&number("gen_ai.usage.output_tokens", 5)));
        assert!(spans.iter().all(|span| span.attributes.contains(&text("call_id", "call_1"))));
    }

    #[test]
    fn what_the_caller_does_not_sample_is_not_recorded_and_the_queue_is_bounded() {
        let recorder = SpanRecorder::new("antiphon", "0.1.0", "openai", "m");
        let trace: TraceContext =
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().expect("valid");
        let start = |trace: TraceContext, n: usize| {
            CallStart::new(CallId::new(format!("call_{n}")), crate::testing::nobody(), "talk", trace)
        };
        recorder.call_started(&start(trace, 0));
        recorder.call_ended(&start(trace, 0), &CallEnd::Caller);
        assert!(recorder.take_request(100).is_none());
        for n in 0..MAX_WAITING + 3 {
            let call = start(TraceContext { sampled: true, ..trace }, n);
            recorder.call_started(&call);
            recorder.call_ended(&call, &CallEnd::Caller);
        }
        assert_eq!(recorder.counters()[0].value, 3);
    }
}
