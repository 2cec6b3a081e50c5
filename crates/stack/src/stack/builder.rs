//! Opens models only when an engine needs them, so that a stack of simulations needs none.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use antiphon_audio::Gate;
use antiphon_core::measure::Component;
use antiphon_core::{Embed, Llm, Stt, Tts, TurnDetector, Vad};
use antiphon_providers::local::energy::EnergyVad;
use antiphon_providers::local::onnx::OnnxRuntime;
use antiphon_providers::local::silero::{SileroVad, UngatedSilero};
use antiphon_providers::local::smart_turn::SmartTurn;
use antiphon_providers::pool::ModelPool;
use antiphon_providers::remote::ApiKey;
use anyhow::{Result, bail};

use super::layered::Layered;
use super::layers::Engine;
use super::{listed, section};
use crate::config::{Config, Secret, TurnEngine, VadEngine};

/// OpenAI's own address. Other servers use the same protocols at other addresses.
pub(super) const OPENAI: &str = "https://api.openai.com/v1";

/// The component with an engine's measurements, if it has any.
pub(super) type Measured = Option<Arc<dyn Component>>;

/// The detectors of voice activity.
pub(super) struct Detectors {
    /// For the audio of calls.
    pub(super) calls: Layered<dyn Vad>,
    /// For files and turns whose bounds the client sets; `None` if the detector cannot tell speech from other sounds.
    pub(super) files: Option<Arc<dyn Vad>>,
    pub(super) measured: Measured,
}

/// The language models, and the components with the measurements of the embedded ones.
pub(super) type LanguageModels = (Vec<Engine<dyn Llm>>, Vec<Arc<dyn Component>>);

pub(super) struct Builder<'a> {
    pub(super) config: &'a Config,
    pub(super) models: PathBuf,
    pub(super) pool: &'a ModelPool,
    /// ONNX Runtime, which is loaded when the first engine needs it.
    runtime: OnceCell<OnnxRuntime>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(config: &'a Config, pool: &'a ModelPool) -> Result<Self> {
        let models = config.models_dir()?;
        Ok(Self { config, models, pool, runtime: OnceCell::new() })
    }

    pub(super) fn runtime(&self) -> Result<&OnnxRuntime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let runtime = OnnxRuntime::load(&library(&self.models))?;
        Ok(self.runtime.get_or_init(|| runtime))
    }

    pub(super) fn model(&self, path: &str) -> PathBuf {
        self.models.join(path)
    }

    /// The voice activity detectors.
    pub(super) fn vad(&self) -> Result<Detectors> {
        let layered = |vad: Arc<dyn Vad>| Layered::new(vad.name(), vad);
        if self.config.vad.engine == VadEngine::Energy {
            // It cannot tell speech from other sounds, so it takes nothing out of files.
            return Ok(Detectors { calls: layered(Arc::new(EnergyVad)), files: None, measured: None });
        }
        let model = self.model("silero-vad/silero_vad.onnx");
        let gated = self.config.advanced.vad_gate;
        let live = self.pool.live_work().clone();
        let gate = move || -> antiphon_providers::local::silero::Gate {
            let (mut gate, live) = (Gate::new(), live.clone());
            Box::new(move |samples: &[i16]| {
                // The audio of every call comes by here, also while nobody speaks.
                live.seen();
                !gated || gate.push(samples)
            })
        };
        let silero = Arc::new(SileroVad::open(self.runtime()?, &model, gate)?);
        let (files, measured) = (Arc::new(UngatedSilero(silero.clone())), silero.component());
        let silero = layered(silero);
        // The gate is part of the detector, which asks it itself, so nothing is wrapped here: only its name
        // is listed.
        let calls = if gated { silero.with("gated", |vad| vad) } else { silero };
        Ok(Detectors { calls, files: Some(files), measured: Some(measured) })
    }

    pub(super) fn turn(&self) -> Result<Option<Arc<dyn TurnDetector>>> {
        if self.config.turn.engine == TurnEngine::Silence {
            return Ok(None);
        }
        let model = self.model("smart-turn-v3.2/smart-turn-v3.2-cpu.onnx");
        Ok(Some(Arc::new(SmartTurn::open(self.runtime()?, self.pool, &model)?)))
    }

    /// The speech recognition engines, in the order in which they are tried.
    pub(super) fn stt(&self) -> Result<Vec<Engine<dyn Stt>>> {
        let stt = &self.config.stt;
        let engines = listed(stt, &stt.engines);
        engines.map(|stt| section::engine(stt, |stt, limits| self.one_stt(stt, limits))).collect()
    }

    /// The language models, in the order in which they are tried, and the measurements of the embedded ones.
    pub(super) fn llm(&self) -> Result<LanguageModels> {
        let llm = &self.config.llm;
        let mut measured = Vec::new();
        let engines = listed(llm, &llm.engines).map(|llm| {
            section::engine(llm, |llm, limits| {
                let (engine, component) = self.one_llm(llm, limits)?;
                measured.extend(component);
                Ok(engine)
            })
        });
        let engines = engines.collect::<Result<_>>()?;
        Ok((engines, measured))
    }

    /// The speech synthesis engines, in the order in which they are tried.
    pub(super) fn tts(&self) -> Result<Vec<Engine<dyn Tts>>> {
        let tts = &self.config.tts;
        let engines = listed(tts, &tts.engines);
        engines.map(|tts| section::engine(tts, |tts, limits| self.one_tts(tts, limits))).collect()
    }

    /// The embedding engines, in the order in which they are tried.
    pub(super) fn embed(&self) -> Result<Vec<Engine<dyn Embed>>> {
        let embed = &self.config.embed;
        let engines = listed(embed, &embed.engines);
        engines.map(|embed| section::engine(embed, |embed, limits| self.one_embed(embed, limits))).collect()
    }
}

/// The library of ONNX Runtime: the path in the environment, or else the one next to the models.
fn library(models: &Path) -> PathBuf {
    std::env::var_os("ORT_DYLIB_PATH")
        .map_or_else(|| models.join("onnxruntime/libonnxruntime.so"), PathBuf::from)
}

/// The API key of a server, if one is configured.
pub(super) fn api_key(given: Option<&Secret>) -> Option<ApiKey> {
    given.map(|key| ApiKey::new(key.reveal()))
}

/// The API key of a server that does not work without one; an error says how to configure it.
pub(super) fn key(section: &str, engine: &str, given: Option<&Secret>) -> Result<ApiKey> {
    if let Some(key) = api_key(given) {
        return Ok(key);
    }
    let variable = engine.to_uppercase();
    bail!(
        "[{section}] engine = \"{engine}\" needs a key: api_key = \"${{{variable}_API_KEY}}\" takes it from the environment"
    )
}
