//! The default behaviour of a call, which its client may change.

use std::time::Duration;

use antiphon_core::dialog::pause::Patience;
use antiphon_core::dialog::{BargeIn, EndOfTurn, TurnConfig};
use antiphon_core::session::{
    IdleReply, ListeningConfig, ModelConfig, ReplyReuse, Sayings, SessionConfig, VoiceConfig,
};

use crate::config::{Config, TurnEngine, TurnPatience};

/// What is said while the language model lets a caller wait.
const WAITING: [&str; 3] = ["One moment please.", "I am still working on it.", "Thank you for waiting."];

/// How long all language models together may be silent: as long as each is waited for while there is another one.
fn patience(config: &Config) -> Duration {
    let engines = config.llm.engines.len().max(1) as u32;
    Duration::from_millis(config.advanced.fallback.llm_first_ms) * engines
}

/// The default behaviour of a call, which its client may change.
pub fn session_config(config: &Config) -> SessionConfig {
    let ms = Duration::from_millis;
    let turn = &config.turn;
    let end = match turn.engine {
        TurnEngine::Smart => EndOfTurn::Smart {
            min: ms(turn.min_silence_ms),
            max: ms(turn.max_silence_ms),
            patience: match turn.patience {
                TurnPatience::Low => Patience::Low,
                TurnPatience::Normal => Patience::Normal,
                TurnPatience::High => Patience::High,
            },
        },
        TurnEngine::Silence => EndOfTurn::Silence(ms(turn.silence_ms)),
    };
    let defaults = TurnConfig::default();
    let turns = TurnConfig {
        threshold: config.vad.threshold,
        speculate: ms(config.advanced.speculate_ms),
        end,
        barge_in: if turn.barge_in { defaults.barge_in } else { BargeIn::Off },
        reprompt: (turn.reprompt_ms > 0).then(|| ms(turn.reprompt_ms)),
        max_reprompts: turn.max_reprompts,
        ..defaults
    };
    SessionConfig {
        instructions: config.agent.instructions.clone(),
        model: ModelConfig { patience: patience(config), ..ModelConfig::default() },
        voice: VoiceConfig {
            name: config.agent.voice.clone(),
            speed: config.tts.speed,
            frame: ms(config.advanced.frame_ms),
            ..VoiceConfig::default()
        },
        listening: ListeningConfig {
            language: config.stt.language.clone(),
            turns: Some(turns),
            cancel_echo: turn.cancel_echo,
            ..ListeningConfig::default()
        },
        sayings: Sayings {
            greeting: config.agent.greeting.clone(),
            idle: IdleReply::Say(vec!["Are you still there?".to_owned()]),
            goodbye: config.agent.goodbye.clone(),
            waiting: WAITING.map(str::to_owned).into(),
            apology: "Sorry, something went wrong. Could you say that again?".to_owned(),
        },
    }
}

/// Which earlier replies may be used again.
pub(super) fn reply_reuse(config: &Config) -> ReplyReuse {
    match (config.agent.cache, config.agent.cache_other_words) {
        (false, _) => ReplyReuse::Never,
        (true, false) => ReplyReuse::SameWords,
        (true, true) => ReplyReuse::OtherWords,
    }
}
