//! Builds every engine, in one place, and says what it built.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use antiphon_agent::Engines;
use antiphon_audio::Gate;
use antiphon_core::call::{IdleReply, SessionConfig};
use antiphon_core::dialog::{BargeIn, EndOfTurn, TurnConfig};
use antiphon_core::measure::Component;
use antiphon_core::{Embed, Llm, Stt, Tts, TurnDetector, Vad};
use antiphon_providers::energy::EnergyVad;
use antiphon_providers::fake::{FakeEmbed, FakeLlm, FakeStt, FakeTts};
use antiphon_providers::kokoro::Kokoro;
use antiphon_providers::minilm::MiniLm;
use antiphon_providers::moonshine::Moonshine;
use antiphon_providers::onnx::OnnxRuntime;
use antiphon_providers::openai::{OpenAiChat, OpenAiOptions};
use antiphon_providers::phonemes::Phonemizer;
use antiphon_providers::piper::Piper;
use antiphon_providers::pool::ModelPool;
use antiphon_providers::silero::SileroVad;
use antiphon_providers::sim::{Faults, SimEmbed, SimLlm, SimStt, SimTts};
use antiphon_providers::smart_turn::SmartTurn;
use anyhow::{Context, Result, bail};

use crate::config::{Config, TurnEngine, VadEngine};
use crate::machine;
use crate::tunables::ServerTunables;

/// Everything a call needs, and the threads it runs on.
pub struct Stack {
    /// The engines.
    pub engines: Engines,
    /// What of them is measured.
    pub components: Vec<Arc<dyn Component>>,
    /// One line an engine.
    pub description: Vec<String>,
    /// Kept alive as long as the engines are.
    pub pool: ModelPool,
}

/// Where models and data are kept.
pub fn data_dir(config: &Config) -> Result<PathBuf> {
    if let Some(dir) = &config.server.data_dir {
        return Ok(dir.clone());
    }
    let home = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
    Ok(home.context("no HOME: set [server] data_dir")?.join("antiphon"))
}

/// The engines of a configuration by name: what was measured with them says nothing about others.
pub fn engine_names(config: &Config) -> String {
    let llm = if config.llm.base_url.is_some() { "openai" } else { config.llm.engine.as_str() };
    let model = config.llm.model.as_deref().unwrap_or("default");
    let vad = match config.vad.engine {
        VadEngine::Silero => "silero",
        VadEngine::Energy => "energy",
    };
    format!("{vad} + {} + {llm} {model} + {}", config.stt.engine, config.tts.engine)
}

/// Opens models as they are asked for, so that a simulated stack needs none.
struct Builder<'a> {
    config: &'a Config,
    models: PathBuf,
    pool: &'a ModelPool,
    /// Loaded for the first engine that runs on it.
    runtime: OnceCell<OnnxRuntime>,
}

/// What of an engine is measured, if anything.
type Measured = Option<Arc<dyn Component>>;

/// Builds the engines of a configuration.
pub fn build(config: &Config) -> Result<Stack> {
    let models = data_dir(config)?.join("models");
    let threads = config.pool.threads.unwrap_or_else(machine::cores);
    let pool = ModelPool::new(threads)?;
    pool.set_max_batch(config.pool.max_batch);
    let builder = Builder { config, models, pool: &pool, runtime: OnceCell::new() };
    let (vad, detector) = builder.vad()?;
    let (llm, model) = builder.llm()?;
    let engines = Engines {
        vad,
        turn: builder.turn()?,
        stt: builder.stt()?,
        llm,
        tts: builder.tts()?,
        embed: builder.embed()?,
    };
    let turn = engines.turn.as_ref().map_or("silence", |turn| turn.name());
    let description = vec![
        match config.vad.engine {
            VadEngine::Silero => "vad    silero behind a level and earshot gate".to_owned(),
            VadEngine::Energy => "vad    energy".to_owned(),
        },
        format!("turn   {turn}"),
        format!("stt    {}", engines.stt.name()),
        format!("llm    {} {}", engines.llm.name(), engines.llm.model()),
        format!("tts    {}", engines.tts.name()),
        format!("embed  {} {}", engines.embed.name(), engines.embed.model()),
        format!("pool   {threads} model threads"),
    ];
    let server: Arc<dyn Component> = Arc::new(ServerTunables::new(&config.server));
    let components = [server].into_iter().chain(detector).chain(model).chain(pool.components()).collect();
    Ok(Stack { engines, components, description, pool })
}

/// The default voice and the threads it runs on, whatever voice is configured: for what must really speak.
pub fn default_voice(config: &Config) -> Result<(Arc<dyn Tts>, ModelPool)> {
    let pool = ModelPool::new(1)?;
    let config = Config { tts: crate::config::Tts::default(), ..config.clone() };
    let models = data_dir(&config)?.join("models");
    let builder = Builder { config: &config, models, pool: &pool, runtime: OnceCell::new() };
    let voice = builder.tts()?;
    Ok((voice, pool))
}

/// ONNX Runtime: named by the environment, beside the models, or beside the program.
fn library(models: &Path) -> PathBuf {
    std::env::var_os("ORT_DYLIB_PATH")
        .map_or_else(|| models.join("onnxruntime/libonnxruntime.so"), PathBuf::from)
}

impl Builder<'_> {
    fn runtime(&self) -> Result<&OnnxRuntime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let runtime = OnnxRuntime::load(&library(&self.models))?;
        Ok(self.runtime.get_or_init(|| runtime))
    }

    fn model(&self, path: &str) -> PathBuf {
        self.models.join(path)
    }

    /// The detector, and what of it is measured.
    fn vad(&self) -> Result<(Arc<dyn Vad>, Measured)> {
        if self.config.vad.engine == VadEngine::Energy {
            return Ok((Arc::new(EnergyVad), None));
        }
        let model = self.model("silero-vad/silero_vad.onnx");
        let gated = self.config.vad.gate;
        let gate = move || -> antiphon_providers::silero::Gate {
            let mut gate = Gate::new();
            Box::new(move |samples: &[i16]| !gated || gate.push(samples))
        };
        let silero = SileroVad::open(self.runtime()?, &model, gate)?;
        let measured = silero.component();
        Ok((Arc::new(silero), Some(measured)))
    }

    fn turn(&self) -> Result<Option<Arc<dyn TurnDetector>>> {
        if self.config.turn.engine == TurnEngine::Silence {
            return Ok(None);
        }
        let model = self.model("smart-turn-v3.2/smart-turn-v3.2-cpu.onnx");
        Ok(Some(Arc::new(SmartTurn::open(self.runtime()?, self.pool, &model)?)))
    }

    fn stt(&self) -> Result<Arc<dyn Stt>> {
        let stt = &self.config.stt;
        match stt.engine.as_str() {
            "moonshine" => {
                let folder = self.model("moonshine-tiny-en");
                Ok(Arc::new(Moonshine::open(self.runtime()?, self.pool, &folder)?))
            }
            "sim" => {
                let delay = Duration::from_millis(stt.delay_ms);
                Ok(SimStt {
                    delay,
                    text: stt.text.clone(),
                    faults: faults(stt.fail_rate, stt.stall_rate, stt.jitter_ms, stt.seed),
                }
                .engine())
            }
            "fake" => Ok(Arc::new(FakeStt)),
            other => bail!("[stt] engine = \"{other}\" is not known: moonshine, sim, fake"),
        }
    }

    /// The model, and what of it is measured.
    fn llm(&self) -> Result<(Arc<dyn Llm>, Measured)> {
        let llm = &self.config.llm;
        let engine = if llm.base_url.is_some() { "openai" } else { llm.engine.as_str() };
        match engine {
            "openai" => {
                let (Some(base_url), Some(model)) = (llm.base_url.clone(), llm.model.clone()) else {
                    bail!("[llm] engine = \"openai\" needs base_url and model");
                };
                let api_key = llm.api_key.as_ref().map(|key| key.reveal().to_owned());
                Ok((Arc::new(OpenAiChat::new(OpenAiOptions { base_url, model, api_key })?), None))
            }
            "llama" => self.llama(),
            "sim" => Ok((
                SimLlm {
                    first_token: Duration::from_millis(llm.first_token_ms),
                    token: Duration::from_millis(llm.token_ms),
                    tokens: llm.tokens,
                    text: llm.text.clone(),
                    faults: faults(llm.fail_rate, llm.stall_rate, llm.jitter_ms, llm.seed),
                }
                .engine(),
                None,
            )),
            "fake" => Ok((Arc::new(FakeLlm), None)),
            other => bail!("[llm] engine = \"{other}\" is not known: llama, openai, sim, fake"),
        }
    }

    #[cfg(feature = "llama")]
    fn llama(&self) -> Result<(Arc<dyn Llm>, Measured)> {
        use antiphon_providers::llama::{Llama, LlamaOptions};

        let llm = &self.config.llm;
        let default = "smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf";
        let file = llm.model.as_ref().map_or_else(|| self.model(default), PathBuf::from);
        let defaults = LlamaOptions::default();
        let options = LlamaOptions {
            threads: llm.threads.unwrap_or(defaults.threads),
            context: llm.context,
            parallel: llm.parallel,
            max_tokens: llm.max_tokens,
            temperature: llm.temperature,
            prompt_batch: llm.prompt_batch,
        };
        let llama = Llama::open(&file, options)?;
        let measured = llama.component();
        Ok((Arc::new(llama), Some(measured)))
    }

    #[cfg(not(feature = "llama"))]
    #[expect(clippy::unused_self, reason = "the same as with the feature")]
    fn llama(&self) -> Result<(Arc<dyn Llm>, Measured)> {
        bail!("this program was built without llama.cpp: set [llm] base_url to a server that answers")
    }

    fn tts(&self) -> Result<Arc<dyn Tts>> {
        let tts = &self.config.tts;
        match tts.engine.as_str() {
            "piper" => {
                let default = "piper-en_US-joe-medium/en_US-joe-medium.onnx";
                let voice = tts.model.clone().unwrap_or_else(|| self.model(default));
                let phonemizer = Arc::new(Phonemizer::new());
                Ok(Arc::new(Piper::open(self.runtime()?, self.pool, &phonemizer, &voice)?))
            }
            "kokoro" => {
                let folder = tts.model.clone().unwrap_or_else(|| self.model("kokoro-82m"));
                let phonemizer = Arc::new(Phonemizer::new());
                Ok(Arc::new(Kokoro::open(self.runtime()?, self.pool, &phonemizer, &folder)?))
            }
            "sim" => Ok(SimTts {
                first_audio: Duration::from_millis(tts.first_audio_ms),
                audio: Duration::from_millis(tts.audio_ms),
                realtime: tts.realtime,
                faults: faults(tts.fail_rate, tts.stall_rate, tts.jitter_ms, tts.seed),
            }
            .engine()),
            "fake" => Ok(Arc::new(FakeTts)),
            other => bail!("[tts] engine = \"{other}\" is not known: piper, kokoro, sim, fake"),
        }
    }

    fn embed(&self) -> Result<Arc<dyn Embed>> {
        match self.config.embed.engine.as_str() {
            "minilm" => {
                let model = self.model("minilm-l6-v2/model.onnx");
                Ok(Arc::new(MiniLm::open(self.runtime()?, self.pool, &model)?))
            }
            "sim" => Ok(Arc::new(SimEmbed)),
            "fake" => Ok(Arc::new(FakeEmbed)),
            other => bail!("[embed] engine = \"{other}\" is not known: minilm, sim, fake"),
        }
    }
}

fn faults(fail_rate: f64, stall_rate: f64, jitter_ms: u64, seed: u64) -> Faults {
    Faults { fail_rate, stall_rate, jitter_ms, seed }
}

/// How calls behave that say nothing else.
pub fn session_config(config: &Config) -> SessionConfig {
    let ms = Duration::from_millis;
    let turn = &config.turn;
    let end = match turn.engine {
        TurnEngine::Smart => EndOfTurn::Smart { min: ms(turn.min_silence_ms), max: ms(turn.max_silence_ms) },
        TurnEngine::Silence => EndOfTurn::Silence(ms(turn.silence_ms)),
    };
    let defaults = TurnConfig::default();
    let turns = TurnConfig {
        threshold: config.vad.threshold,
        speculate: ms(turn.speculate_ms),
        end,
        barge_in: if turn.barge_in { defaults.barge_in } else { BargeIn::Off },
        reprompt: (turn.reprompt_ms > 0).then(|| ms(turn.reprompt_ms)),
        max_reprompts: turn.max_reprompts,
        ..defaults
    };
    SessionConfig {
        instructions: config.agent.instructions.clone(),
        voice: config.agent.voice.clone(),
        speed: config.tts.speed,
        audio_frame: ms(config.server.frame_ms),
        language: config.stt.language.clone(),
        turns: Some(turns),
        greeting: config.agent.greeting.clone(),
        idle: IdleReply::Say(vec!["Are you still there?".to_owned()]),
        goodbye: config.agent.goodbye.clone(),
        apology: "Sorry, something went wrong. Could you say that again?".to_owned(),
        ..SessionConfig::default()
    }
}
