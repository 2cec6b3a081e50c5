//! How the end of the person's turn is detected: `audio.input.turn_detection`.

use std::time::Duration;

use antiphon_core::dialog::pause::Patience;
use antiphon_core::dialog::{BargeIn, EndOfTurn, TurnConfig};
use antiphon_core::session::SessionConfig;
use serde::{Deserialize, Serialize};

use super::invalid::Invalid;

/// How the end of the person's turn is detected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum TurnDetection {
    /// The turn ends after a fixed silence.
    ServerVad {
        #[serde(default = "half")]
        threshold: f32,
        #[serde(default = "prefix_padding_ms")]
        prefix_padding_ms: u64,
        #[serde(default = "silence_duration_ms")]
        silence_duration_ms: u64,
        #[serde(default)]
        idle_timeout_ms: Option<u64>,
        #[serde(default = "yes")]
        create_response: bool,
        #[serde(default = "yes")]
        interrupt_response: bool,
    },
    /// The turn ends when the turn detector judges from the sound that the person has finished.
    SemanticVad {
        #[serde(default)]
        eagerness: Eagerness,
        #[serde(default = "yes")]
        create_response: bool,
        #[serde(default = "yes")]
        interrupt_response: bool,
    },
}

/// The defaults that OpenAI documents.
#[expect(clippy::unnecessary_wraps, reason = "a default for serde")]
pub(super) fn server_vad() -> Option<TurnDetection> {
    Some(TurnDetection::ServerVad {
        threshold: half(),
        prefix_padding_ms: prefix_padding_ms(),
        silence_duration_ms: silence_duration_ms(),
        idle_timeout_ms: None,
        create_response: true,
        interrupt_response: true,
    })
}

fn half() -> f32 {
    0.5
}

fn prefix_padding_ms() -> u64 {
    300
}

fn silence_duration_ms() -> u64 {
    500
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Eagerness {
    Low,
    Medium,
    High,
    #[default]
    Auto,
}

impl Eagerness {
    /// The longest pause that does not end the turn, as OpenAI documents it.
    fn max_silence(self) -> Duration {
        Duration::from_secs(match self {
            Self::Low => 8,
            Self::Medium | Self::Auto => 4,
            Self::High => 2,
        })
    }

    /// When a turn ends; after no less than `min` of silence.
    fn end_of_turn(self, min: Duration) -> EndOfTurn {
        let patience = match self {
            Self::Low => Patience::High,
            Self::Medium | Self::Auto => Patience::Normal,
            Self::High => Patience::Low,
        };
        EndOfTurn::Smart { min, max: self.max_silence(), patience }
    }
}

impl TurnDetection {
    /// Checks that every value is within its range.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let Self::ServerVad { threshold, prefix_padding_ms, silence_duration_ms, idle_timeout_ms, .. } = self
        else {
            return Ok(());
        };
        let invalid = |name: &str, message: String| {
            Err(Invalid::param(format!("session.audio.input.turn_detection.{name}"), message))
        };
        if !(0.0..=1.0).contains(threshold) {
            return invalid("threshold", format!("{threshold} is not between 0 and 1"));
        }
        for (name, value, max) in [
            ("prefix_padding_ms", *prefix_padding_ms, 5_000),
            ("silence_duration_ms", *silence_duration_ms, 60_000),
        ] {
            if value > max {
                return invalid(name, format!("{value} is more than {max}"));
            }
        }
        if idle_timeout_ms.is_some_and(|idle| !(5_000..=30_000).contains(&idle)) {
            return invalid("idle_timeout_ms", "the idle timeout is not between 5000 and 30000".to_owned());
        }
        Ok(())
    }

    /// How much audio from before the beginning of speech is kept.
    pub(super) fn padding(&self) -> Duration {
        match self {
            Self::ServerVad { prefix_padding_ms, .. } => Duration::from_millis(*prefix_padding_ms),
            Self::SemanticVad { .. } => Duration::from_millis(prefix_padding_ms()),
        }
    }

    /// The turn-taking rules of a call. `base` holds what cannot be configured here, and `semantic` says whether
    /// there is a turn detector.
    pub(super) fn config(&self, base: &SessionConfig, semantic: bool) -> TurnConfig {
        let base = base.listening.turns.clone().unwrap_or_default();
        let barge_in = |interrupts: bool| if interrupts { BargeIn::AtOnce } else { BargeIn::Off };
        match *self {
            Self::ServerVad {
                threshold,
                silence_duration_ms,
                idle_timeout_ms,
                create_response,
                interrupt_response,
                ..
            } => TurnConfig {
                threshold,
                end: EndOfTurn::Silence(Duration::from_millis(silence_duration_ms)),
                barge_in: barge_in(interrupt_response),
                respond: create_response,
                reprompt: idle_timeout_ms.map(Duration::from_millis),
                max_reprompts: u32::MAX,
                ..base
            },
            Self::SemanticVad { eagerness, create_response, interrupt_response } => TurnConfig {
                end: match base.end {
                    EndOfTurn::Smart { min, .. } => eagerness.end_of_turn(min),
                    end @ EndOfTurn::Silence(_) if !semantic => end,
                    EndOfTurn::Silence(_) | EndOfTurn::Manual => {
                        eagerness.end_of_turn(Duration::from_millis(224))
                    }
                },
                barge_in: barge_in(interrupt_response),
                respond: create_response,
                reprompt: None,
                ..base
            },
        }
    }
}
