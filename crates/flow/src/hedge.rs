//! Hedged requests against long tails of latency: Dean and Barroso (2013), "The Tail at Scale".
//!
//! When the first engine takes longer than for 95 % of its requests, the second is asked the same. The one that has a useful
//! item first goes on, the other is cancelled. Errors are not handled here: that is what [`crate::Fallback`] round this is for.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_core::measure::{Component, Counter, Level, Snapshot, Stage};
use antiphon_core::{
    AudioChunk, BoxStream, ChatDelta, ChatRequest, Llm, LlmCard, Priority, Result, SpeechRequest, Tool, Tts,
    TtsCard, lock,
};
use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout};

use crate::fallback::next_useful;

/// The percentile of the latency after which the second engine is asked, as Dean and Barroso recommend.
const PATIENCE: f64 = 0.95;
/// Requests after which that latency is estimated for the first time, roughly.
const FIRST_WINDOW: u64 = 32;
/// Requests after which it is estimated anew: a dozen of them are slower than the percentile.
const WINDOW: u64 = 256;
/// How many hedges may be saved up: when the first engine becomes slow, several requests need one at once.
const MAX_SAVED: f64 = 10.0;

/// Two engines of which the second is asked when the first is unusually slow. They may be the same.
///
/// Only [`Priority::LiveTurn`] is hedged, and at most a share of it.
pub struct Hedge<E: ?Sized> {
    first: Arc<E>,
    second: Arc<E>,
    pace: Arc<Pace>,
}

impl<E: ?Sized> Hedge<E> {
    /// The share of requests that may be asked twice, where nothing else is known: as many as are slower than the
    /// 95th percentile.
    pub const SHARE: f64 = 1.0 - PATIENCE;

    /// Asks `second` at most for a `share` (0 to 1) of requests.
    pub fn new(first: Arc<E>, second: Arc<E>, share: f64) -> Self {
        Self { first, second, pace: Arc::new(Pace::new(share.clamp(0.0, 1.0))) }
    }
}

impl Llm for Hedge<dyn Llm> {
    fn card(&self) -> LlmCard<'_> {
        self.first.card()
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        if request.priority != Priority::LiveTurn {
            return self.first.chat(request);
        }
        let useful = |delta: &ChatDelta| !matches!(delta, ChatDelta::Text(text) if text.is_empty());
        let first = self.first.chat(request.clone());
        let second = self.second.clone();
        hedged(self.pace.clone(), first, move || second.chat(request), useful)
    }

    fn prepare(&self, request: &ChatRequest) {
        self.first.prepare(request);
    }

    fn check_tools(&self, tools: &[Tool]) -> Result<()> {
        self.first.check_tools(tools)
    }
}

impl Tts for Hedge<dyn Tts> {
    fn card(&self) -> TtsCard<'_> {
        self.first.card()
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        if request.priority != Priority::LiveTurn {
            return self.first.speak(request);
        }
        let useful = |chunk: &AudioChunk| !chunk.samples.is_empty();
        let first = self.first.speak(request.clone());
        let second = self.second.clone();
        hedged(self.pace.clone(), first, move || second.speak(request), useful)
    }
}

/// A stage whose requests can be hedged.
pub trait HedgeStage: Send + Sync {
    /// The component's name in reports and on pages: `hedge llm`.
    const COMPONENT: &'static str;
}

impl HedgeStage for dyn Llm {
    const COMPONENT: &'static str = "hedge llm";
}

impl HedgeStage for dyn Tts {
    const COMPONENT: &'static str = "hedge tts";
}

impl<E: HedgeStage + ?Sized> Component for Hedge<E> {
    fn name(&self) -> &'static str {
        E::COMPONENT
    }

    fn stages(&self) -> Vec<&Stage> {
        vec![&self.pace.first_item]
    }

    fn counters(&self) -> Vec<Counter> {
        let count = |name: &'static str, value: &AtomicU64| Counter::new(name, value.load(Ordering::Relaxed));
        vec![
            count("requests", &self.pace.requests),
            count("hedged", &self.pace.hedged),
            count("won", &self.pace.won),
        ]
    }

    fn levels(&self) -> Vec<Level> {
        let delay = self.pace.delay().unwrap_or_default();
        vec![Level::new("delay", delay.as_secs_f64() * 1e3, "ms")]
    }
}

/// Which latency is unusual, and how many second requests may be made.
struct Pace {
    share: f64,
    /// The time to the first item: of the first engine or, where the second was faster, of that one.
    first_item: Stage,
    requests: AtomicU64,
    hedged: AtomicU64,
    won: AtomicU64,
    state: Mutex<PaceState>,
}

#[derive(Default)]
struct PaceState {
    /// Hedges that may be sent now.
    saved: f64,
    before: Snapshot,
    since: u64,
    delay: Option<Duration>,
}

impl Pace {
    fn new(share: f64) -> Self {
        Self {
            share,
            first_item: Stage::new("first item"),
            requests: AtomicU64::new(0),
            hedged: AtomicU64::new(0),
            won: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    fn delay(&self) -> Option<Duration> {
        lock(&self.state).delay
    }

    /// A request begins; gives the time after which it may be hedged.
    fn begin(&self) -> Option<Duration> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut state = lock(&self.state);
        state.saved = (state.saved + self.share).min(MAX_SAVED);
        state.delay
    }

    /// Whether this request may be hedged.
    fn spend(&self) -> bool {
        let mut state = lock(&self.state);
        let enough = state.saved >= 1.0;
        if enough {
            state.saved -= 1.0;
            self.hedged.fetch_add(1, Ordering::Relaxed);
        }
        enough
    }

    fn record(&self, span: Duration) {
        self.first_item.record(span);
        let mut state = lock(&self.state);
        state.since += 1;
        if state.since >= if state.delay.is_none() { FIRST_WINDOW } else { WINDOW } {
            let now = self.first_item.spans().snapshot();
            state.delay = Some(now.since(&state.before).percentile(PATIENCE));
            state.before = now;
            state.since = 0;
        }
    }
}

type Answers<T> = BoxStream<'static, Result<T>>;

/// The answers of whichever engine has a useful item first.
fn hedged<T: Send + 'static>(
    pace: Arc<Pace>,
    mut first: Answers<T>,
    second: impl FnOnce() -> Answers<T> + Send + 'static,
    useful: fn(&T) -> bool,
) -> Answers<T> {
    let begun = async move {
        let since = Instant::now();
        let unusual = pace.begin();
        let in_time = match unusual {
            Some(delay) => timeout(delay, next_useful(&mut first, useful)).await.ok(),
            None => Some(next_useful(&mut first, useful).await),
        };
        let (item, answers) = match in_time {
            Some(item) => (item, first),
            None if pace.spend() => {
                let (item, answers, won) = race(first, second(), useful).await;
                pace.won.fetch_add(u64::from(won), Ordering::Relaxed);
                (item, answers)
            }
            None => (next_useful(&mut first, useful).await, first),
        };
        if is_answer(item.as_ref()) {
            pace.record(since.elapsed());
        }
        stream::iter(item).chain(answers)
    };
    stream::once(begun).flatten().boxed()
}

/// The first useful item, its stream, and whether that is the second engine's. It is an error only when both fail: that of the
/// first engine.
async fn race<T>(
    mut first: Answers<T>,
    mut second: Answers<T>,
    useful: fn(&T) -> bool,
) -> (Option<Result<T>>, Answers<T>, bool) {
    let (item, won) = {
        let (a, b) = (pin!(next_useful(&mut first, useful)), pin!(next_useful(&mut second, useful)));
        match select(a, b).await {
            Either::Left((a, _)) if is_answer(a.as_ref()) => (a, false),
            Either::Right((b, _)) if is_answer(b.as_ref()) => (b, true),
            Either::Left((a, b)) => {
                let b = b.await;
                if is_answer(b.as_ref()) { (b, true) } else { (a, false) }
            }
            Either::Right((_, a)) => (a.await, false),
        }
    };
    (item, if won { second } else { first }, won)
}

fn is_answer<T>(item: Option<&Result<T>>) -> bool {
    !matches!(item, Some(Err(_)))
}

#[cfg(test)]
mod tests;
