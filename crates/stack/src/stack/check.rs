//! Refuses a configuration that [`super::build`] would refuse, without loading a model or asking a server.

use std::path::Path;
use std::sync::Arc;

use antiphon_core::Embed;
use antiphon_flow::FallbackStage;
use antiphon_providers::pool::ModelPool;
use antiphon_providers::scripted::sim::SimEmbed;
use anyhow::{Result, bail};

use super::builder::Builder;
use super::section::StageSection;
use super::{knowledge, listed, tools};
use crate::config::{Config, EmbedEngine, LlmEngine, TtsEngine};

/// Checks what can be known of a configuration before its models are loaded: engines that lack a key or a model's name, addresses,
/// tools, and files that are named and not there. The models that Antiphon fetches itself are checked when they are loaded.
pub fn check(config: &Config) -> Result<()> {
    let pool = ModelPool::new(1)?;
    let builder = Builder::new(config, &pool)?;
    for stt in listed(&config.stt, &config.stt.engines).filter(|stt| stt.is_remote()) {
        builder.one_stt(stt, &Arc::default())?;
    }
    for llm in listed(&config.llm, &config.llm.engines) {
        if llm.is_remote() {
            builder.one_llm(llm, &Arc::default())?;
        } else if llm.resolved_engine() == LlmEngine::Llama {
            is_there("llm", llm.model.as_deref())?;
        }
    }
    for tts in listed(&config.tts, &config.tts.engines) {
        if tts.is_remote() {
            builder.one_tts(tts, &Arc::default())?;
        } else if matches!(tts.engine, TtsEngine::Piper | TtsEngine::Kokoro) {
            is_there("tts", tts.model.as_deref())?;
        }
    }
    let embeds =
        listed(&config.embed, &config.embed.engines).filter(|embed| embed.engine != EmbedEngine::MiniLm);
    let embeds: Vec<_> =
        embeds.map(|embed| builder.one_embed(embed, &Arc::default())).collect::<Result<_>>()?;
    <dyn Embed as FallbackStage>::check(&embeds)?;
    tools::of(config)?;
    // Documents are read and counted here and not embedded, so any engine will do.
    let stand_in: Arc<dyn Embed> = Arc::new(SimEmbed);
    knowledge::knowledge(config, &stand_in)?;
    Ok(())
}

/// Refuses the path of an embedded model at which there is nothing. Without a path the default model is used.
fn is_there(section: &str, model: Option<&str>) -> Result<()> {
    match model {
        Some(model) if !Path::new(model).exists() => {
            bail!(
                "[{section}] model = \"{model}\": there is no such file; give the path of a model, or leave it out"
            )
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        check(&config).map_or_else(|error| format!("{error:#}"), |()| "sound".to_owned())
    }

    #[test]
    fn the_default_configuration_is_sound_although_no_model_is_there() {
        assert_eq!(checked(|config| config.server.models_dir = Some("/nonexistent".into())), "sound");
    }

    #[test]
    fn engines_tools_and_files_that_could_not_be_used_are_named() {
        let openai = |config: &mut Config| config.llm.engine = LlmEngine::OpenAi;
        assert!(checked(openai).contains("[llm] engine = \"openai\" needs a model"));
        let vendor = |config: &mut Config| config.tts.engine = TtsEngine::Cartesia;
        assert!(checked(vendor).contains("[tts] engine = \"cartesia\" needs a key"));
        let gguf = |config: &mut Config| config.llm.model = Some("/nonexistent.gguf".to_owned());
        assert!(checked(gguf).contains("[llm] model = \"/nonexistent.gguf\": there is no such file"));
        let voice = |config: &mut Config| config.tts.model = Some("/nonexistent.onnx".to_owned());
        assert!(checked(voice).contains("[tts] model = \"/nonexistent.onnx\": there is no such file"));
        let tool = |config: &mut Config| config.agent.tools = vec!["thyme".to_owned()];
        assert!(checked(tool).contains("[agent] tools: there is no tool 'thyme'"));
        let missing = |config: &mut Config| config.kb.files = vec!["/nonexistent/faq.md".into()];
        assert!(checked(missing).contains("[kb] files: cannot read /nonexistent/faq.md"));
        let folder = |config: &mut Config| config.kb.files = vec![std::env::temp_dir()];
        assert!(checked(folder).contains("[kb] files: cannot read"), "a folder is no file");
    }

    #[test]
    fn every_engine_of_a_list_is_checked() {
        let embeds = |config: &mut Config| {
            let model = |model: &str| crate::config::Embed {
                engine: EmbedEngine::OpenAi,
                model: Some(model.to_owned()),
                ..config.embed.clone()
            };
            config.embed.engines = vec![model("text-embedding-3-small"), model("text-embedding-3-large")];
        };
        assert!(checked(embeds).contains("configure one model"));
        let listed = |config: &mut Config| {
            let remote =
                crate::config::Stt { engine: crate::config::SttEngine::AssemblyAi, ..config.stt.clone() };
            config.stt.engines = vec![config.stt.clone(), remote];
        };
        assert!(checked(listed).contains("[stt] engine = \"assemblyai\" needs a key"));
    }
}
