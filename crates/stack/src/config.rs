//! The configuration: a TOML file, overridden by environment variables, which are overridden by command-line flags.
//!
//! Every key is optional. Unknown keys are refused with the nearest known one, and secrets are never printed.

mod address;
mod advanced;
mod cache;
mod engines;
mod layers;
mod names;
mod network;
mod read;
mod reference;
mod secret;
mod sections;
mod stages;
#[cfg(test)]
mod tests;
mod tree;

use std::path::{Path, PathBuf};

use antiphon_core::settings::SectionInfo;
use anyhow::{Result, bail};

pub(crate) use advanced::FRAME_MS;
pub use advanced::{Advanced, AdvancedEmbed, AdvancedEngine, Fallback};
pub use cache::{AdvancedCache, Cache, ReplyCache};
pub use layers::Origin;
pub use network::Network;
pub use reference::{example, keys, page};
pub use secret::Secret;
pub use sections::{
    Agent, Config, Emotion, EmotionEngine, Kb, Limits, MODELS_VARIABLE, Memory, Server, Telemetry, Telephony,
    Tls, Turn, TurnEngine, TurnPatience, Vad, VadEngine,
};
pub use stages::{Embed, EmbedEngine, Llm, LlmEngine, Stt, SttEngine, Tts, TtsEngine};

use layers::Layers;

/// The file in the data directory with the settings that `antiphon optimize --apply` found to be better on this
/// machine. What a person has configured overrides it.
pub const TUNED: &str = "tuned.toml";

/// The configuration in force and where each value came from.
#[derive(Debug)]
pub struct Effective {
    /// The value of every key, set or default.
    pub config: Config,
    /// The full name and origin of each key that is set. A key that is missing here has its default.
    pub origins: Vec<(String, Origin)>,
    /// Warnings for whoever wrote the configuration, such as that a key has a new name: one line each.
    pub warnings: Vec<String>,
}

/// Reads the configuration. The lowest layer is the tuned settings; over it lies `file`, or else the first that
/// exists of `./antiphon.toml` and `$XDG_CONFIG_HOME/antiphon/antiphon.toml`; over that lies the environment.
/// `data_dir` overrides all of them.
pub fn load(file: Option<&Path>, data_dir: Option<&Path>) -> Result<Effective> {
    let found = match file {
        Some(file) => Some(file.to_owned()),
        None => [PathBuf::from("antiphon.toml")].into_iter().chain(user_file()).find(|path| path.exists()),
    };
    let vars = read::environment(std::env::vars_os())?;
    let text = found.as_deref().map_or_else(|| Ok(String::new()), read::text)?;
    let name = found.as_deref().map_or_else(String::new, |path| path.display().to_string());
    let located = |mut effective: Effective| {
        if let Some(dir) = data_dir {
            effective.config.server.data_dir = Some(dir.to_owned());
        }
        effective
    };
    let effective = located(resolve(&text, &name, None, vars.iter().cloned())?);
    // Without a data directory there are no tuned settings.
    let tuned = effective.config.data_dir().map(|dir| dir.join(TUNED));
    let Some(tuned) = tuned.ok().filter(|path| path.is_file()) else { return Ok(effective) };
    let name_below = tuned.display().to_string();
    let with_tuned = || {
        let text_below = read::text(&tuned)?;
        resolve(&text, &name, Some((&text_below, &name_below)), vars.into_iter())
    };
    Ok(with_tuned().map_or_else(|error| without_tuned(effective, &name_below, &error), located))
}

/// Nobody wrote the tuned settings by hand, and all is sound without them: so a damaged file, or one of another version,
/// costs a warning and not the server.
fn without_tuned(effective: Effective, file: &str, error: &anyhow::Error) -> Effective {
    let warning = format!(
        "the tuned settings in {file} are left out: {error:#}; `antiphon optimize --rollback` takes them back for good"
    );
    Effective { warnings: [effective.warnings, vec![warning]].concat(), ..effective }
}

/// Reads a configuration from text alone.
#[cfg(fuzzing)]
pub fn parse(text: &str) -> Result<Effective> {
    resolve(text, "fuzz.toml", None, std::iter::empty())
}

/// The environment variable that sets a key: `llm.model` is `ANTIPHON_LLM__MODEL`.
pub fn variable(key: &str) -> String {
    format!("ANTIPHON_{}", key.to_uppercase().replace('.', "__"))
}

/// The current full name of a key, given any of its names.
pub fn current_name(key: &str) -> String {
    names::current(&layers::described(), key).to_owned()
}

/// Whether this is the full name of a section and not of a key.
pub fn is_section(path: &str) -> bool {
    fn holds(section: &SectionInfo, path: &str) -> bool {
        section.path == path || section.sections.iter().any(|inner| holds(inner, path))
    }
    holds(&layers::described(), path)
}

/// The path of the configuration file in the user's home.
fn user_file() -> Option<PathBuf> {
    let home = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))?;
    Some(home.join("antiphon/antiphon.toml"))
}

/// Merges the layers and checks the result.
fn resolve(
    text: &str,
    name: &str,
    below: Option<(&str, &str)>,
    vars: impl Iterator<Item = (String, String)>,
) -> Result<Effective> {
    let mut layers = Layers::new(vars);
    if let Some((text, name)) = below {
        layers.add_file(text, name)?;
    }
    layers.add_file(text, name)?;
    layers.add_environment()?;
    let config = layers.config()?;
    check(&config)?;
    Ok(Effective { config, origins: layers.origins.into_iter().collect(), warnings: layers.warnings })
}

/// Checks what depends on several keys at once.
fn check(config: &Config) -> Result<()> {
    if !config.server.listen.ip().is_loopback() && config.server.api_keys.is_empty() {
        bail!(
            "[server] listen = \"{}\" lets the network in without a key: set api_keys, or listen on 127.0.0.1",
            config.server.listen
        );
    }
    let (min, max) = (config.turn.min_silence_ms, config.turn.max_silence_ms);
    if min > max {
        bail!("[turn] min_silence_ms = {min} must be at most max_silence_ms = {max}");
    }
    let Config { stt, llm, tts, .. } = config;
    let stt = [stt].into_iter().chain(&stt.engines).map(|stt| ("stt", &stt.sim.faults));
    let llm = [llm].into_iter().chain(&llm.engines).map(|llm| ("llm", &llm.sim.faults));
    let tts = [tts].into_iter().chain(&tts.engines).map(|tts| ("tts", &tts.sim.faults));
    for (section, faults) in stt.chain(llm).chain(tts) {
        if faults.fail_rate + faults.stall_rate > 1.0 {
            bail!("[{section}.sim] fail_rate and stall_rate are shares of the requests: at most 1 together");
        }
    }
    Ok(())
}
