//! Opens models as they are asked for, so that a simulated stack needs none.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use antiphon_audio::Gate;
use antiphon_core::measure::Component;
use antiphon_core::{TurnDetector, Vad};
use antiphon_providers::energy::EnergyVad;
use antiphon_providers::onnx::OnnxRuntime;
use antiphon_providers::pool::ModelPool;
use antiphon_providers::silero::SileroVad;
use antiphon_providers::sim::Faults;
use antiphon_providers::smart_turn::SmartTurn;
use anyhow::{Result, bail};

use crate::config::{Config, Secret, TurnEngine, VadEngine};

/// Where OpenAI is, whose engines may also be elsewhere.
pub(super) const OPENAI: &str = "https://api.openai.com/v1";

/// What of an engine is measured, if anything.
pub(super) type Measured = Option<Arc<dyn Component>>;

pub(super) struct Builder<'a> {
    pub(super) config: &'a Config,
    pub(super) models: PathBuf,
    pub(super) pool: &'a ModelPool,
    /// Loaded for the first engine that runs on it.
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

    /// The detector, and what of it is measured.
    pub(super) fn vad(&self) -> Result<(Arc<dyn Vad>, Measured)> {
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

    pub(super) fn turn(&self) -> Result<Option<Arc<dyn TurnDetector>>> {
        if self.config.turn.engine == TurnEngine::Silence {
            return Ok(None);
        }
        let model = self.model("smart-turn-v3.2/smart-turn-v3.2-cpu.onnx");
        Ok(Some(Arc::new(SmartTurn::open(self.runtime()?, self.pool, &model)?)))
    }
}

/// ONNX Runtime: named by the environment, beside the models, or beside the program.
fn library(models: &Path) -> PathBuf {
    std::env::var_os("ORT_DYLIB_PATH")
        .map_or_else(|| models.join("onnxruntime/libonnxruntime.so"), PathBuf::from)
}

/// The faults of a simulated engine.
pub(super) fn faults(fail_rate: f64, stall_rate: f64, jitter_ms: u64, seed: u64) -> Faults {
    Faults { fail_rate, stall_rate, jitter_ms, seed }
}

/// The key of a remote engine that cannot do without.
pub(super) fn key(section: &str, engine: &str, key: Option<&Secret>) -> Result<String> {
    if let Some(key) = key {
        return Ok(key.reveal().to_owned());
    }
    let variable = engine.to_uppercase();
    bail!(
        "[{section}] engine = \"{engine}\" needs a key: api_key = \"${{{variable}_API_KEY}}\" takes it from the environment"
    )
}
