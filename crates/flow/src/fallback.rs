//! Ordered engines of one stage that stand in for each other: [`Fallback`] round any of core's traits.
//!
//! A request goes to the first engine that is well. When that one fails, is slow or falls silent, the next goes on
//! where it stopped: nobody who listens hears more than a pause. An engine that failed rests and is probed in the
//! background until it works again. Hedging comes before: `Fallback` of [`crate::Hedge`] of the first two engines,
//! then the second, then the others.

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

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use antiphon_core::measure::{Component, Counter, Level};
use antiphon_core::{BoxFuture, Error, Priority, Result};

use crate::target::AnswerBounds;
use engines::Engines;
use route::Route;
pub(crate) use route::next_useful;

/// What [`Fallback`] asks of a kind of engine: `dyn Llm`, `dyn Tts`, `dyn Stt` and `dyn Embed`.
pub trait FallbackStage: Send + Sync + 'static {
    /// In errors: `llm`.
    const STAGE: &'static str;
    /// In tables and on pages: `fallback llm`.
    const COMPONENT: &'static str;

    /// The engine's name.
    fn engine_name(&self) -> &'static str;

    /// The smallest request that tells whether the engine works; it waits behind all others.
    fn probe(&self) -> BoxFuture<'static, Result<()>>;

    /// Whether these engines may stand in for each other.
    fn check(_engines: &[Arc<Self>]) -> Result<()> {
        Ok(())
    }
}

/// Engines in order, used as one. Its name and model are those of the first. Live work waits as long as its bounds say
/// while another engine is well. The last one, and work nobody waits for in silence, has 30 s to the first item and 10 s
/// between items: there is nothing better to turn to.
///
/// Every error but one after a tool call began makes the next engine go on; when all have failed, the most telling
/// error is given. An engine that refuses a request ([`antiphon_core::ErrorKind::Invalid`] and `NotFound`) stays in
/// use: another one may know the model or have room for the conversation, but nothing is wrong with this one. After
/// every other error it rests: 1 s, then twice as long each time, up to 15 s or what the other side asked for; a probe
/// ends each rest, as long as the fallback or one of its streams lives. Engines that rest are asked only when all others have failed. Must run on tokio.
pub struct Fallback<E: FallbackStage + ?Sized> {
    engines: Arc<Engines<E>>,
}

impl<E: FallbackStage + ?Sized> Fallback<E> {
    /// Asks `engines` in this order. An error when there is none or when they cannot stand in for each other.
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
        vec![Level {
            name: "engine".into(),
            value: self.engines.in_use() as f64,
            limit: None,
            unit: "index".into(),
        }]
    }
}

/// Nothing panics while it holds one of these locks.
pub(crate) fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
