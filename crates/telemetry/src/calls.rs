//! The active calls and the latest turns, for the API and the dashboard.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use antiphon_core::dialog::Phase;
use antiphon_core::measure::account::{Account, SpeechUnit};
use antiphon_core::measure::{Component, Level};
use antiphon_core::{
    CallEnd, CallId, CallStart, Event, Observer, RequestOutcome, SampleRate, Step, TurnLatency, Usage, lock,
};
use serde::Serialize;

use crate::clock::unix_time;

/// Most turns that are kept. After that the oldest is dropped.
const MAX_TURNS: usize = 500;

/// What tokens cost, in the currency of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prices {
    /// Price of a million tokens that the model reads.
    pub input_million: f64,
    /// Price of a million tokens that the model's server reads from its prompt cache.
    pub cached_million: f64,
    /// Price of a million tokens that the model writes.
    pub output_million: f64,
}

impl Prices {
    fn of(self, usage: Usage) -> f64 {
        let fresh = usage.input_tokens.saturating_sub(usage.cached_tokens) as f64;
        let cached = usage.cached_tokens as f64 * self.cached_million;
        (fresh * self.input_million + cached + usage.output_tokens as f64 * self.output_million) / 1e6
    }
}

/// A call that is going on.
#[derive(Clone, Debug, Serialize)]
pub struct CallView {
    /// The call's id, which log lines and traces carry as well.
    pub id: String,
    /// The name of the protocol that carries the call.
    pub transport: &'static str,
    /// When it began, in seconds since 1970.
    pub started: f64,
    /// The dialog's phase: who speaks, or what is awaited.
    pub phase: &'static str,
    /// How many turns were answered.
    pub turns: u64,
    /// How many replies the person cut off.
    pub interruptions: u64,
    /// How many failures of engines there were in this call.
    pub failures: u64,
    /// Latency of the latest turn, stage by stage.
    pub latency_ms: Option<TurnLatency>,
    /// How long threads have worked for the call, in milliseconds.
    pub busy_ms: f64,
    /// Tokens that language models read.
    pub input_tokens: u64,
    /// Tokens that language models wrote.
    pub output_tokens: u64,
    /// Seconds of audio that were sent to be transcribed.
    pub stt_seconds: f64,
    /// Characters that were sent to be spoken.
    pub tts_characters: u64,
    /// What tokens and speech cost; null when no prices at all are configured.
    pub cost: Option<f64>,
}

/// A turn that was answered.
#[derive(Clone, Debug, Serialize)]
pub struct TurnView {
    /// The id of the call in which the turn took place.
    pub call_id: String,
    /// The turn's number within the call.
    pub turn: u64,
    /// When the reply began, in seconds since 1970.
    pub at: f64,
    /// The name of the protocol that carries the call.
    pub transport: &'static str,
    /// Latency, stage by stage.
    pub latency_ms: TurnLatency,
    /// When each step took place, measured from the last speech sample.
    pub steps: Vec<Step>,
    /// Whether the reply came from a cache.
    pub served_from_cache: bool,
}

/// Observes all calls and keeps the active ones.
pub struct LiveCalls {
    max: usize,
    prices: Option<Prices>,
    state: Mutex<CallsState>,
}

#[derive(Default)]
struct CallsState {
    calls: HashMap<CallId, LiveCall>,
    /// The latest turns, the latest last.
    turns: VecDeque<TurnView>,
}

struct LiveCall {
    transport: &'static str,
    account: Arc<Account>,
    started: f64,
    phase: &'static str,
    turns: u64,
    interruptions: u64,
    failures: u64,
    latency: Option<TurnLatency>,
    usage: Usage,
}

impl LiveCalls {
    /// `max` is how many calls are admitted at a time. `prices` is `None` when nothing has a price, not even speech.
    pub fn new(max: usize, prices: Option<Prices>) -> Self {
        Self { max, prices, state: Mutex::default() }
    }

    /// The active calls, the oldest first.
    pub fn calls(&self) -> Vec<CallView> {
        let state = lock(&self.state);
        let mut calls: Vec<CallView> = state.calls.iter().map(|(id, live)| self.view(id, live)).collect();
        calls.sort_by(|a, b| a.started.total_cmp(&b.started).then_with(|| a.id.cmp(&b.id)));
        calls
    }

    /// At most `limit` of the latest turns, the latest first.
    pub fn turns(&self, limit: usize) -> Vec<TurnView> {
        lock(&self.state).turns.iter().rev().take(limit).cloned().collect()
    }

    /// The id of the call that has this number in profiles: see [`Account::number`].
    pub fn numbered(&self, number: u32) -> Option<String> {
        let state = lock(&self.state);
        let found = state.calls.iter().find(|(_, live)| live.account.number() == number);
        found.map(|(id, _)| id.to_string())
    }

    fn view(&self, id: &CallId, live: &LiveCall) -> CallView {
        let speech = live.account.cost_micros() as f64 / 1e6;
        let heard = live.account.sent(SpeechUnit::Sample) as f64;
        CallView {
            id: id.to_string(),
            transport: live.transport,
            started: live.started,
            phase: live.phase,
            turns: live.turns,
            interruptions: live.interruptions,
            failures: live.failures,
            latency_ms: live.latency,
            busy_ms: live.account.busy().as_secs_f64() * 1_000.0,
            input_tokens: live.usage.input_tokens,
            output_tokens: live.usage.output_tokens,
            stt_seconds: heard / f64::from(SampleRate::HZ_16000.hz()),
            tts_characters: live.account.sent(SpeechUnit::Character),
            cost: self.prices.map(|prices| prices.of(live.usage) + speech),
        }
    }
}

impl Component for LiveCalls {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn levels(&self) -> Vec<Level> {
        let active = lock(&self.state).calls.len() as f64;
        vec![Level::new("active", active, "calls").with_limit(self.max as f64)]
    }
}

impl Observer for LiveCalls {
    fn call_started(&self, call: &CallStart) {
        let live = LiveCall {
            transport: call.transport,
            account: Arc::clone(&call.account),
            started: unix_time().as_secs_f64(),
            phase: Phase::Listening.name(),
            turns: 0,
            interruptions: 0,
            failures: 0,
            latency: None,
            usage: Usage::default(),
        };
        lock(&self.state).calls.insert(call.id.clone(), live);
    }

    fn event(&self, call: &CallId, event: &Event) {
        // Most events change nothing here, and for those the lock is not taken.
        if !matches!(
            event,
            Event::Phase(_)
                | Event::Latency { .. }
                | Event::Interrupted { .. }
                | Event::Failed(_)
                | Event::UserTextFailed { .. }
                | Event::ReplyDone { .. }
        ) {
            return;
        }
        let mut state = lock(&self.state);
        let state = &mut *state;
        let Some(live) = state.calls.get_mut(call) else { return };
        match event {
            Event::Phase(phase) => live.phase = phase.name(),
            Event::Latency { turn, latency, steps, from_cache } => {
                live.turns += 1;
                live.latency = Some(*latency);
                if state.turns.len() == MAX_TURNS {
                    state.turns.pop_front();
                }
                state.turns.push_back(TurnView {
                    call_id: call.to_string(),
                    turn: turn.0.into(),
                    at: unix_time().as_secs_f64(),
                    transport: live.transport,
                    latency_ms: *latency,
                    steps: steps.clone(),
                    served_from_cache: from_cache.is_some(),
                });
            }
            Event::Interrupted { .. } => live.interruptions += 1,
            Event::Failed(_) | Event::UserTextFailed { .. } => live.failures += 1,
            Event::ReplyDone { usage, .. } => {
                live.usage.input_tokens += usage.input_tokens;
                live.usage.cached_tokens += usage.cached_tokens;
                live.usage.output_tokens += usage.output_tokens;
            }
            _ => {}
        }
    }

    fn call_ended(&self, call: &CallStart, _: &CallEnd) {
        lock(&self.state).calls.remove(&call.id);
    }

    fn request_ended(&self, _: &'static str, _: RequestOutcome) {}
}

#[cfg(test)]
mod tests {
    use antiphon_core::{ReplyId, ReplyStatus, TurnId};

    use super::*;

    /// A call of 1,000,000 tokens read, a quarter of them from a cache, and 3 s of audio that cost 0.25.
    fn call(prices: Option<Prices>) -> CallView {
        let calls = LiveCalls::new(1, prices);
        let start = crate::testing::call("c", "talk");
        calls.call_started(&start);
        let usage = Usage { input_tokens: 1_000_000, cached_tokens: 250_000, output_tokens: 0 };
        let done = Event::ReplyDone {
            reply: ReplyId::new("r"),
            turn: TurnId(1),
            status: ReplyStatus::Completed,
            usage,
            output: Vec::new(),
            from_cache: None,
        };
        calls.event(&start.id, &done);
        start.account.bill(SpeechUnit::Sample, 48_000, 250_000);
        start.account.bill(SpeechUnit::Character, 11, 0);
        calls.calls().remove(0)
    }

    #[test]
    fn a_call_costs_what_its_tokens_and_its_speech_cost() {
        let call = call(Some(Prices { input_million: 4.0, cached_million: 1.0, output_million: 9.0 }));
        assert_eq!((call.stt_seconds, call.tts_characters), (3.0, 11));
        assert_eq!(call.cost, Some(3.0 + 0.25 + 0.25));
    }

    #[test]
    fn speech_has_a_cost_where_tokens_have_none() {
        assert_eq!(call(Some(Prices::default())).cost, Some(0.25));
    }

    #[test]
    fn without_any_price_nothing_is_said_of_cost() {
        assert_eq!(call(None).cost, None);
    }
}
