//! The search for better settings: measures the cost of each candidate, and verifies the best one.

use std::path::Path;

use antiphon_lab::compare::{Comparison, compare};
use antiphon_lab::search::{Knob, Point, Search, Space};
use anyhow::{Context, Result, bail};

use crate::cli::benchmark::child::Runner;
use crate::cli::benchmark::compare::{ComparedPair, ComparedProgram};
use crate::findings::{Goal, Settings};

/// The search, with the program and the configuration that it is for.
pub(super) struct Optimizer<'a> {
    pub(super) goal: Goal,
    pub(super) program: &'a Path,
    pub(super) config: Option<&'a Path>,
    pub(super) recording: Option<&'a Path>,
    /// Where models and data are found: see [`place`](crate::cli::benchmark::child::place).
    pub(super) place: [(String, String); 2],
    /// How many iterations one measurement has.
    pub(super) iterations: usize,
}

impl Optimizer<'_> {
    /// Searches with this many measurements, and calls `told` after each. Returns the best settings that differ from
    /// the present ones.
    pub(super) async fn search(
        &self,
        knobs: &[Knob],
        start: &Point,
        budget: usize,
        seed: u64,
        mut told: impl FnMut(&Settings, f64),
    ) -> Result<(Settings, usize)> {
        let space = Space { knobs: knobs.to_vec() };
        let mut search = Search::new(space, start.clone(), budget, seed)?;
        let (mut trials, mut worked) = (0, false);
        while let Some(point) = search.next() {
            let settings = settings(knobs, &point);
            let cost = self.cost(&settings).await.unwrap_or_else(|error| {
                // Settings with which the engines do not even start are not an error but bad settings.
                tracing::warn!(error = format!("{error:#}"), ?settings, "cannot be measured");
                f64::INFINITY
            });
            worked |= cost.is_finite();
            trials += 1;
            told(&settings, cost);
            search.tell(cost);
        }
        if !worked {
            bail!(
                "nothing could be measured: `antiphon benchmark --component {}` says why",
                self.goal.component()
            );
        }
        let best = search.best().map_or_else(|| start.clone(), |(point, _)| point.clone());
        Ok((changed(knobs, start, &best), trials))
    }

    /// Measures with these settings in a separate process.
    async fn cost(&self, settings: &Settings) -> Result<f64> {
        let keys = self.keys(settings);
        let component = self.goal.component();
        let mut runner = Runner::start(self.program, self.config, &keys, component, self.recording).await?;
        runner.step(2).await?;
        let measured = runner.step(self.iterations).await?;
        Ok(match self.goal {
            Goal::Cost => measured.cpu_ms,
            Goal::Latency | Goal::Capacity => measured.total().context("nothing was measured")?.p50_ms,
        })
    }

    fn keys(&self, settings: &Settings) -> Vec<(String, String)> {
        let settings = settings.iter().map(|(key, value)| (key.clone(), value.to_string()));
        settings.chain(self.place.clone()).collect()
    }

    /// Measures the present settings and the new ones alternately, because a change is worthwhile only if it is
    /// certainly better.
    pub(super) async fn verify(&self, settings: &Settings) -> Result<Option<Comparison>> {
        let (today, keys) = (self.keys(&Settings::new()), self.keys(settings));
        let side = |settings| ComparedProgram { program: self.program, config: self.config, settings };
        let sides =
            ComparedPair { baseline: side(&today), candidate: side(&keys), recording: self.recording };
        if self.goal == Goal::Cost {
            let rounds = sides.measure_cpu(self.goal.component(), self.iterations).await?;
            return Ok(compare(&rounds));
        }
        let rounds = sides.measure(self.goal.component(), self.iterations * 10, || {}).await?;
        Ok(compare(&rounds))
    }
}

/// The settings of a point in the search space.
fn settings(knobs: &[Knob], point: &Point) -> Settings {
    let value = |(knob, index): (&Knob, &usize)| Some((knob.name.clone(), knob.values.get(*index)?.clone()));
    knobs.iter().zip(point).filter_map(value).collect()
}

/// The settings of a point that differ from those at the start.
fn changed(knobs: &[Knob], start: &Point, point: &Point) -> Settings {
    let today = settings(knobs, start);
    settings(knobs, point).into_iter().filter(|(key, value)| today.get(key) != Some(value)).collect()
}
