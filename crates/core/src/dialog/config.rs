//! The rules of turn-taking.

use std::time::Duration;

use super::pause::Patience;

/// How turns begin and end.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnConfig {
    /// Voice probability at which speech begins.
    pub threshold: f32,
    /// Voice that must last this long to count as speech.
    pub start: Duration,
    /// Voice that must last this long to end a pause.
    pub resume: Duration,
    /// Silence after which the transcript is flushed and a reply prepared.
    pub speculate: Duration,
    /// When a pause ends the turn.
    pub end: EndOfTurn,
    /// The longest turn: a person who never pauses is answered after this.
    pub max_turn: Duration,
    /// What happens when the person speaks over the agent.
    pub barge_in: BargeIn,
    /// Whether the end of a turn asks for a reply.
    pub respond: bool,
    /// Silence after a reply until the person is asked again; `None` never.
    pub reprompt: Option<Duration>,
    /// How often the person is asked again before the goodbye.
    pub max_reprompts: u32,
}

/// When a pause ends the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfTurn {
    /// Never: the person says so.
    Manual,
    /// After this much silence.
    Silence(Duration),
    /// As soon as its end is likely enough, judged from the words, the sound and the length of the silence.
    Smart {
        /// The least silence, however certain the end is.
        min: Duration,
        /// The most silence, however uncertain it is.
        max: Duration,
        /// How likely the end must be.
        patience: Patience,
    },
}

/// What happens when the person speaks over the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BargeIn {
    /// The agent speaks on.
    Off,
    /// The reply is dropped as soon as speech begins.
    AtOnce,
    /// The reply's audio stops as soon as speech begins. It is dropped when words are understood or the sound
    /// lasts this long, and goes on after a back-channel ("mm-hm") or a noise.
    Grace(Duration),
}

impl Default for TurnConfig {
    /// Thresholds are Silero's; 96 ms to start is three of its windows, so a click does not stop the agent and a
    /// voice does within the 250 ms target. 700 ms of grace is longer than the back-channels of Switchboard
    /// (most last 200 to 600 ms).
    fn default() -> Self {
        Self {
            threshold: 0.5,
            start: Duration::from_millis(96),
            resume: Duration::from_millis(64),
            speculate: Duration::from_millis(96),
            end: EndOfTurn::Smart {
                min: Duration::from_millis(224),
                max: Duration::from_millis(1_500),
                patience: Patience::Normal,
            },
            max_turn: Duration::from_mins(2),
            barge_in: BargeIn::Grace(Duration::from_millis(700)),
            respond: true,
            reprompt: None,
            max_reprompts: 2,
        }
    }
}
