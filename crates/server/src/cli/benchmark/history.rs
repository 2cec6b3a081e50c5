//! Earlier results on the same machine: finds where something has changed.

use antiphon_lab::change_point::{ChangePoint, change_points};
use antiphon_telemetry::{Store, StoreError};

use super::result::{Measured, RunResult};

const KIND: &str = "benchmark";
/// Most runs that are examined.
const RUNS: u32 = 300;

/// A change from one run to the next that has lasted.
pub(crate) struct Change {
    /// The first commit after the change.
    pub(crate) commit: String,
    /// When it was measured, in seconds since 1970.
    pub(crate) at: u64,
    pub(crate) point: ChangePoint,
}

/// Stores the result of each component.
pub(crate) async fn keep(store: &Store, result: &RunResult) -> Result<(), StoreError> {
    for measured in &result.components {
        let subject = subject(measured);
        // Single samples are needed only within a run; between runs their percentiles are enough.
        let mut short = measured.clone();
        short.metrics.iter_mut().for_each(|metric| metric.samples_ms.clear());
        let one = RunResult { components: vec![short], grade: None, ..result.clone() };
        let content = serde_json::to_string(&one).unwrap_or_default();
        store.add_document(KIND, result.at, &result.machine, &subject, &content).await?;
    }
    Ok(())
}

/// Where a component's median has changed on this machine, the earliest first, and how many runs were examined.
pub(crate) async fn changes(
    store: &Store,
    result: &RunResult,
    measured: &Measured,
) -> Result<(usize, Vec<Change>), StoreError> {
    let mut runs: Vec<RunResult> = store
        .documents(KIND, Some(&subject(measured)), RUNS)
        .await?
        .iter()
        .filter(|document| document.machine == result.machine)
        .filter_map(|document| serde_json::from_str(&document.content).ok())
        .collect();
    runs.reverse();
    let median = |run: &RunResult| run.components.first()?.total().map(|total| total.p50_ms);
    let (runs, medians): (Vec<&RunResult>, Vec<f64>) =
        runs.iter().filter_map(|run| Some((run, median(run)?))).unzip();
    let change = |point: ChangePoint| {
        let run = runs.get(point.at)?;
        Some(Change { commit: run.commit.clone(), at: run.at, point })
    };
    Ok((runs.len(), change_points(&medians).into_iter().filter_map(change).collect()))
}

fn subject(measured: &Measured) -> String {
    format!("{} ({})", measured.component, measured.engine)
}
