//! Benchmarks of single components and of whole calls, with the configured engines.

#![expect(clippy::disallowed_methods, reason = "measures how long things really take")]

mod cases;

use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_audio::{Resampler, decode_file};
use antiphon_core::{Requester, SampleRate, SpeechRequest};
use antiphon_stack::config::Config;
use antiphon_stack::{self as stack, BuildContext, Stack, engine_names, machine};
use antiphon_telemetry::ProcessUsage;
use anyhow::{Context, Result, bail};
use futures_util::TryStreamExt;

use super::result::{self, Measured, Metric, RunResult};
pub(crate) use cases::Case;

/// The sentence that is spoken when no recording is given. It is as long as most spoken questions.
const QUESTION: &str = "Could you please tell me what the weather will be like in Paris tomorrow?";
/// Iterations that are not counted, in which caches fill, threads start and models touch their memory.
const WARM_UP: usize = 3;
/// Recordings are cut to this length.
const LONGEST: Duration = Duration::from_secs(30);
/// An iteration that takes longer has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// The engines, and the speech with which they are measured.
pub(crate) struct Bench {
    pub(crate) stack: Stack,
    config: Config,
    /// The speech at 16 kHz.
    speech: Arc<[i16]>,
}

impl Bench {
    /// Builds the engines. The speech is the recording, or else is spoken by the configured voice.
    pub(crate) async fn open(config: &Config, recording: Option<&[u8]>) -> Result<Self> {
        let stack = stack::build(config, &BuildContext::default())?;
        let (rate, samples) = if let Some(bytes) = recording {
            let audio = decode_file(bytes, LONGEST)?;
            (audio.rate, audio.samples)
        } else {
            let said: Vec<_> = stack
                .engines
                .tts
                .speak(SpeechRequest::new(Requester::local(), QUESTION))
                .try_collect()
                .await?;
            let rate = said.first().context("the configured voice says nothing")?.rate;
            (rate, said.iter().flat_map(|chunk| chunk.samples.iter().copied()).collect())
        };
        let mut speech = Vec::new();
        let mut resampler = Resampler::new(rate, SampleRate::HZ_16000);
        resampler.process(&samples, &mut speech);
        resampler.flush(&mut speech);
        if speech.is_empty() {
            bail!("there is no speech to measure with: the recording is empty");
        }
        Ok(Self { stack, config: config.clone(), speech: speech.into() })
    }

    /// Runs a case. `each` is called after every iteration.
    pub(crate) async fn run(
        &self,
        case: Case,
        iterations: usize,
        warm_up: bool,
        mut each: impl FnMut(),
    ) -> Result<Measured> {
        let iterate = async |n: usize| {
            let iteration = case.iterate(self, n);
            let done = tokio::time::timeout(PATIENCE, iteration).await;
            done.with_context(|| {
                format!("{}: no end of an iteration in {} s", case.name(), PATIENCE.as_secs())
            })?
        };
        for n in 0..if warm_up { WARM_UP.min(iterations) } else { 0 } {
            iterate(n).await?;
        }
        let (usage, allocations, began) =
            (ProcessUsage::now(), antiphon_telemetry::allocations(), Instant::now());
        let mut samples: Vec<(&'static str, Vec<f64>)> = Vec::new();
        let mut audio = Duration::ZERO;
        for n in 0..iterations {
            let iteration = iterate(WARM_UP + n).await?;
            audio += iteration.audio;
            for (metric, span) in iteration.spans {
                let ms = span.as_secs_f64() * 1_000.0;
                match samples.iter_mut().find(|(name, _)| *name == metric) {
                    Some((_, samples)) => samples.push(ms),
                    None => samples.push((metric, vec![ms])),
                }
            }
            each();
        }
        let wall = began.elapsed().as_secs_f64();
        let count = iterations.max(1) as f64;
        let cpu_ms = (ProcessUsage::now().cpu_s - usage.cpu_s) * 1_000.0 / count;
        let made = allocations.zip(antiphon_telemetry::allocations());
        Ok(Measured {
            component: case.name().to_owned(),
            engine: case.engine(self),
            iterations,
            metrics: samples.into_iter().map(|(name, samples)| Metric::new(name, samples)).collect(),
            per_second: count * case.items() as f64 / wall,
            real_time_factor: (!audio.is_zero()).then(|| wall / audio.as_secs_f64()),
            allocations: made.map(|(before, after)| after.saturating_sub(before) as f64 / count),
            cpu_ms,
        })
    }

    /// The measurements with the machine, time, version and engines.
    pub(crate) fn result(&self, components: Vec<Measured>) -> RunResult {
        RunResult {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: machine::commit().to_owned(),
            machine: machine::describe(),
            engines: engine_names(&self.config),
            at: antiphon_telemetry::unix_time().as_secs(),
            grade: result::grade(&components),
            components,
        }
    }
}
