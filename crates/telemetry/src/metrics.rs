//! Prometheus metrics of calls, engines and HTTP requests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{
    CallEnd, CallId, CallStart, Emotion, Error, Event, Observer, RequestOutcome, StepOutcome, StepReport,
    TurnLatency,
};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::plain_text;
use crate::scrape::Scrape;
use crate::watcher::Watcher;

/// Upper bounds of the latency buckets, in seconds. They are dense around the targets for a turn (400 ms for half of
/// the turns, 700 ms for nearly all) and for its stages (10 to 250 ms). 2 and 5 s are what older systems aimed at.
const LATENCY_BUCKETS: [f64; 22] = [
    0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.5, 2.0,
    3.0, 5.0, 10.0,
];

/// All counters and histograms of one server. An update costs a few atomic operations.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    scrape: Scrape,
    calls_active: Gauge,
    calls: Family<CallLabels, Counter>,
    interruptions: Counter,
    failures: Family<FailureLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    turn_total: Histogram,
    end_of_turn: Histogram,
    stt: Histogram,
    llm_ttft: Histogram,
    tts_ttfb: Histogram,
    interruption: Histogram,
    overhead: Histogram,
    memory_retrieval: Histogram,
    emotions: Family<EmotionLabels, Counter>,
    plan_steps: Family<StepLabels, Counter>,
    provider_requests: Family<ProviderLabels, Counter>,
    http_requests: Family<HttpLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    transport: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabels {
    provider: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EmotionLabels {
    emotion: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HttpLabels {
    method: &'static str,
    route: String,
    status: u16,
}

impl Metrics {
    /// The content type of the text that [`Metrics::encode`] returns.
    pub const OPENMETRICS: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    /// The content type of the text that [`Metrics::encode_plain`] returns.
    pub const PLAIN: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Metrics that are all zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let scrape = Scrape::default();
        registry.register_collector(Box::new(scrape.clone()));
        let r = &mut registry;
        Self {
            calls_active: register(r, "calls_active", "Calls now"),
            calls: register(r, "calls", "Calls that ended"),
            interruptions: register(r, "interruptions", "Replies cut off by the person"),
            failures: register(r, "engine_failures", "Failures of engines within calls"),
            tokens: register(r, "llm_tokens", "Tokens read and written in calls"),
            turn_total: latency(r, "turn_e2e_latency", "Last speech sample to first reply sample"),
            end_of_turn: latency(
                r,
                "end_of_turn_delay",
                "Last speech sample to the decision that the turn is over",
            ),
            stt: latency(r, "stt_transcription_delay", "Question to answer of speech recognition"),
            llm_ttft: latency(r, "llm_ttft", "Request to first token of the language model"),
            tts_ttfb: latency(r, "tts_ttfb", "First clause to its first audio"),
            interruption: latency(
                r,
                "interruption_latency",
                "Onset of the person's speech to the end of the agent's audio",
            ),
            overhead: latency(
                r,
                "engine_overhead",
                "What of a turn neither an engine nor the configured silence took",
            ),
            memory_retrieval: latency(r, "memory_retrieval", "Recalling what fits a turn"),
            emotions: register(r, "emotions", "Turns by how the person seemed to feel"),
            plan_steps: register(r, "plan_steps", "Steps of turns' plans by how they ended"),
            provider_requests: register(r, "provider_requests", "Requests to engines"),
            http_requests: register(r, "http_requests", "HTTP requests answered"),
            registry,
            scrape,
        }
    }

    /// Exports the components of a server, too. Only the first server counts; later calls change nothing.
    pub fn watch(&self, watcher: &Arc<Watcher>) {
        // It fails if there is a watcher already, and then that one stays.
        let _ = self.scrape.0.set(Arc::clone(watcher));
    }

    /// Counts an HTTP request that was answered. `route` is the route's pattern and not the path,
    /// of which there are endlessly many.
    pub fn http_request(&self, method: &'static str, route: &str, status: u16) {
        let labels = HttpLabels { method, route: route.to_owned(), status };
        self.http_requests.get_or_create(&labels).inc();
    }

    /// All metrics in the older text format of Prometheus.
    pub fn encode_plain(&self) -> Result<String, fmt::Error> {
        Ok(plain_text::from_openmetrics(&self.encode()?))
    }

    /// All metrics as OpenMetrics text, which Prometheus asks for.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn turn(&self, latency: &TurnLatency) {
        let stages = [
            (&self.turn_total, latency.total),
            (&self.end_of_turn, latency.end_of_turn),
            (&self.stt, latency.stt),
            (&self.llm_ttft, latency.llm_ttft),
            (&self.tts_ttfb, latency.tts_ttfb),
        ];
        self.overhead.observe(latency.overhead.as_secs_f64());
        // A stage with zero time did not take place: a typed turn, for example, is not transcribed.
        for (histogram, span) in stages.into_iter().filter(|(_, span)| *span > Duration::ZERO) {
            histogram.observe(span.as_secs_f64());
        }
    }

    fn gathered(&self, emotion: Option<Emotion>, steps: &[StepReport]) {
        if let Some(emotion) = emotion {
            self.emotions.get_or_create(&EmotionLabels { emotion: emotion.label() }).inc();
        }
        for StepReport { name, outcome, took } in steps {
            let labels = StepLabels { step: name, outcome: outcome.label() };
            self.plan_steps.get_or_create(&labels).inc();
            if *name == "memory" && *outcome == StepOutcome::Done {
                self.memory_retrieval.observe(took.as_secs_f64());
            }
        }
    }

    fn failure(&self, error: &Error) {
        let kind = format!("{:?}", error.kind()).to_lowercase();
        self.failures.get_or_create(&FailureLabels { kind }).inc();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Metrics {
    fn call_started(&self, _: &CallStart) {
        self.calls_active.inc();
    }

    fn event(&self, _: &CallId, event: &Event) {
        match event {
            Event::Latency { latency, .. } => self.turn(latency),
            Event::TurnContext { emotion, steps, .. } => {
                self.gathered(emotion.map(|(emotion, _)| emotion), steps);
            }
            Event::Interrupted { latency, .. } => {
                self.interruptions.inc();
                if let Some(latency) = latency {
                    self.interruption.observe(latency.as_secs_f64());
                }
            }
            Event::Failed(error) | Event::UserTextFailed { error, .. } => self.failure(error),
            Event::ReplyDone { usage, .. } => {
                let count = |direction, tokens| {
                    self.tokens.get_or_create(&TokenLabels { direction }).inc_by(tokens);
                };
                count("input", usage.input_tokens);
                count("output", usage.output_tokens);
            }
            _ => {}
        }
    }

    fn call_ended(&self, call: &CallStart, end: &CallEnd) {
        self.calls_active.dec();
        let (transport, outcome) = (call.transport, end.outcome().label());
        self.calls.get_or_create(&CallLabels { transport, outcome }).inc();
    }

    fn request_ended(&self, provider: &'static str, outcome: RequestOutcome) {
        let labels = ProviderLabels { provider, outcome: outcome.label() };
        self.provider_requests.get_or_create(&labels).inc();
    }
}

fn register<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: prometheus_client::registry::Metric + Default + Clone,
{
    let metric = M::default();
    registry.register(format!("antiphon_{name}"), help, metric.clone());
    metric
}

fn latency(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    let histogram = Histogram::new(LATENCY_BUCKETS);
    registry.register_with_unit(format!("antiphon_{name}"), help, Unit::Seconds, histogram.clone());
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_core::TurnId;

    fn value(text: &str, series: &str) -> Option<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        line.parse().ok()
    }

    #[test]
    fn a_call_moves_its_counters() {
        let metrics = Metrics::new();
        let call = CallId::new("c");
        let start = crate::testing::call("c", "realtime");
        metrics.call_started(&start);
        let text = metrics.encode().unwrap();
        assert_eq!(value(&text, "antiphon_calls_active"), Some(1.0));

        let latency = TurnLatency { total: Duration::from_millis(350), ..TurnLatency::default() };
        metrics
            .event(&call, &Event::Latency { turn: TurnId(1), latency, steps: Vec::new(), from_cache: None });
        metrics.event(&call, &Event::Failed(Error::unavailable("down")));
        metrics.call_ended(&start, &CallEnd::Caller);
        let text = metrics.encode().unwrap();
        for (series, expected) in [
            ("antiphon_calls_active", 0.0),
            ("antiphon_calls_total{transport=\"realtime\",outcome=\"completed\"}", 1.0),
            ("antiphon_turn_e2e_latency_seconds_count", 1.0),
            ("antiphon_turn_e2e_latency_seconds_bucket{le=\"0.4\"}", 1.0),
            ("antiphon_turn_e2e_latency_seconds_bucket{le=\"0.3\"}", 0.0),
            ("antiphon_stt_transcription_delay_seconds_count", 0.0),
            ("antiphon_engine_overhead_seconds_count", 1.0),
            ("antiphon_engine_failures_total{kind=\"unavailable\"}", 1.0),
        ] {
            assert_eq!(value(&text, series), Some(expected), "{series} in\n{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_process_is_measured_at_each_scrape() {
        let text = Metrics::new().encode().unwrap();
        for series in [
            "process_resident_memory_bytes",
            "process_cpu_seconds_total",
            "process_open_fds",
            "process_threads",
        ] {
            assert!(value(&text, series).is_some_and(|value| value >= 0.0), "{series} in\n{text}");
        }
        assert_eq!(value(&text, "antiphon_tokio_tasks_alive"), Some(0.0));
    }
}
