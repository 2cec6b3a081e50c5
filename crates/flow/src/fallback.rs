//! Ordered engines of one stage that stand in for each other: [`Fallback`] round any of core's traits.
//!
//! A request goes to the first engine that works. When that one fails, is slow or falls silent, the next one goes on
//! where it stopped: a listener hears no more than a pause. An engine that failed rests, and is probed in the
//! background until it works again. Hedging comes before: a `Fallback` is made of a [`crate::Hedge`] of the first two
//! engines, then the second alone, then the others.

mod embed;
mod engines;
mod llm;
mod pace;
mod reason;
mod route;
mod seam;
mod splice;
mod stt;
mod tape;
mod tts;

use std::sync::Arc;

use antiphon_core::measure::{Component, Counter, Level};
use antiphon_core::{BoxFuture, Error, Priority, Result};

use crate::target::AnswerBounds;
use engines::Engines;
use route::Route;
pub(crate) use route::next_useful;

/// What [`Fallback`] needs of each kind of engine: `dyn Llm`, `dyn Tts`, `dyn Stt` and `dyn Embed`.
pub trait FallbackStage: Send + Sync + 'static {
    /// The stage's name in errors: `llm`.
    const STAGE: &'static str;
    /// The component's name in reports and on pages: `fallback llm`.
    const COMPONENT: &'static str;

    /// The engine's name, for the log and for metrics.
    fn engine_name(&self) -> &'static str;

    /// Makes the smallest request that shows whether the engine works, at the lowest priority.
    fn probe(&self) -> BoxFuture<'static, Result<()>>;

    /// Whether these engines may stand in for each other.
    fn check(_engines: &[Arc<Self>]) -> Result<()> {
        Ok(())
    }
}

/// Engines in order, used as one with the name and model of the first. Live requests wait for an engine as long as the bounds
/// say while another one works. The last engine, and requests nobody waits for in silence, have 30 s to the first item and 10 s
/// between items, because there is nothing better to turn to.
///
/// After any error the next engine goes on, except after a tool call began; when all have failed, the most informative error is
/// given. An engine that refuses a request ([`antiphon_core::ErrorKind::Invalid`] and `NotFound`) stays in use: another one may
/// know the model or have room for the conversation, but this one works. After every other error an engine rests: 1 s, then
/// twice as long each time, up to 15 s or what the other side asked for. Each rest ends with a probe, as long as the fallback or
/// one of its streams lives. Engines that rest are asked only when all others have failed. It must run on tokio.
pub struct Fallback<E: FallbackStage + ?Sized> {
    engines: Arc<Engines<E>>,
}

impl<E: FallbackStage + ?Sized> Fallback<E> {
    /// A fallback that asks `engines` in this order.
    ///
    /// # Errors
    /// `Invalid` if there is no engine, or if they cannot stand in for each other.
    pub fn new(engines: Vec<Arc<E>>, bounds: AnswerBounds) -> Result<Self> {
        if engines.is_empty() {
            return Err(Error::invalid(format!("{}: a fallback needs at least one engine", E::STAGE)));
        }
        E::check(&engines)?;
        Ok(Self { engines: Arc::new(Engines::new(engines, bounds)) })
    }

    fn first(&self) -> &E {
        self.engines.engine(0)
    }

    fn route(&self, priority: Priority) -> Route<E> {
        Route::new(self.engines.clone(), priority)
    }
}

impl<E: FallbackStage + ?Sized> Component for Fallback<E> {
    fn name(&self) -> &'static str {
        E::COMPONENT
    }

    fn counters(&self) -> Vec<Counter> {
        self.engines.counters()
    }

    fn levels(&self) -> Vec<Level> {
        vec![Level::new("engine", self.engines.in_use() as f64, "index")]
    }
}

#[cfg(test)]
pub(crate) mod tests;
