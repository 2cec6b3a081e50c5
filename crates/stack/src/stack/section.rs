//! The parts that the sections of all stages have in common.

use std::sync::Arc;

use antiphon_core::RateLimits;
use antiphon_flow::LimitBounds;
use anyhow::{Context, Result};
use serde_json::Value;

use super::layers::Engine;
use crate::config::{Embed, Llm, LlmEngine, Stt, Tts};

/// Most requests to a server at a time, where the configuration does not set it. Vendors allow as many or fewer.
const DEFAULT_CONCURRENCY: usize = 256;

/// A stage's section of the configuration, or an entry in its list of engines.
pub(super) trait StageSection: serde::Serialize {
    /// The name of the engine in the configuration.
    fn engine_name(&self) -> &'static str;

    /// Whether the engine is a remote server.
    fn is_remote(&self) -> bool;

    /// The most requests at a time, if configured.
    fn max_concurrent(&self) -> Option<usize>;

    /// The requests that an engine of this process works on at a time. More would wait in it, where waiting looks like the engine's
    /// own slowness. `None` if it does not limit them.
    fn places(&self) -> Option<usize>;

    /// The price of the speech that the engine is sent, in the unit of its section.
    fn price(&self) -> Option<f64>;
}

macro_rules! stage_section {
    ($section:ty, $self:ident, $engine:expr, $places:expr, $price:expr) => {
        impl StageSection for $section {
            fn engine_name(&self) -> &'static str {
                let $self = self;
                $engine.name()
            }

            fn is_remote(&self) -> bool {
                let $self = self;
                $engine.is_remote()
            }

            fn max_concurrent(&self) -> Option<usize> {
                self.advanced.max_concurrent
            }

            fn places(&self) -> Option<usize> {
                let $self = self;
                $places
            }

            fn price(&self) -> Option<f64> {
                let $self = self;
                $price
            }
        }
    };
}

stage_section!(Stt, stt, stt.engine, nothing(stt), stt.hour_price);
stage_section!(
    Llm,
    llm,
    llm.resolved_engine(),
    (llm.resolved_engine() == LlmEngine::Llama).then_some(llm.llama.parallel.max(1) as usize),
    nothing(llm)
);
stage_section!(Tts, tts, tts.engine, nothing(tts), tts.million_price);
stage_section!(Embed, embed, embed.engine, nothing(embed), nothing(embed));

/// The section has no such thing.
const fn nothing<S, T>(_: &S) -> Option<T> {
    None
}

/// Makes the engine of a section. `make` receives the rate limits to which the engine reports.
pub(super) fn engine<S: StageSection, E: ?Sized>(
    section: &S,
    make: impl FnOnce(&S, &Arc<RateLimits>) -> Result<Arc<E>>,
) -> Result<Engine<E>> {
    let limits = Arc::<RateLimits>::default();
    Ok(Engine {
        inner: make(section, &limits)?,
        name: section.engine_name().to_owned(),
        settings: settings(section)?,
        limits,
        limit: limit(section),
        price: section.price(),
    })
}

/// How many requests an engine is given at a time.
fn limit(section: &impl StageSection) -> LimitBounds {
    if section.is_remote() {
        let max = section.max_concurrent().unwrap_or(DEFAULT_CONCURRENCY).max(1);
        return LimitBounds { min: LimitBounds::default().min.min(max), max };
    }
    // Other engines of this process queue by priority in threads of their own.
    section.places().map_or(LimitBounds::UNLIMITED, |places| LimitBounds { min: places, max: places })
}

/// The settings of an engine, without those of other vendors and without secrets.
fn settings(section: &impl StageSection) -> Result<String> {
    let mut settings = serde_json::to_value(section).context("a section cannot be written as JSON")?;
    if let Value::Object(keys) = &mut settings {
        keys.retain(|key, value| !value.is_object() || key == section.engine_name());
    }
    Ok(settings.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_those_of_the_engine_alone() {
        let text = settings(&Tts::default()).expect("JSON");
        assert!(text.contains("\"speed\":1.0"), "{text}");
    }
}
