//! `/api/performance/grade` and `/recommendations`: how good the performance is, why, and what would improve it.

use std::sync::Arc;
use std::time::Duration;

use antiphon_desk::Access;
use antiphon_lab::grade::{Measured, Metric, grade};
use antiphon_stack::machine;
use antiphon_telemetry::{Report, Series, StageReport};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa_axum::routes;

use super::error::Problem;
use super::performance::{List, unreadable};
use super::routes::Routes;
use crate::app::App;
use crate::findings::{Finding, Overlay, is_better};

/// The time that is graded: long enough for a 95th percentile, short enough to describe the present.
const WINDOW: Duration = Duration::from_hours(1);
/// Fewest turns for a grade. Fewer say nothing about a percentile.
const MIN_TURNS: u64 = 20;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.described(Access::Key, routes!(graded)).described(Access::Key, routes!(recommendations))
}

#[derive(Serialize)]
struct Graded {
    /// The grade from A+ to D; null while too little was measured.
    letter: Option<String>,
    reasons: Vec<ReasonView>,
}

#[derive(Serialize)]
struct ReasonView {
    metric: Metric,
    letter: String,
    text: String,
}

/// A grade of the last hour, A+ to D, with its reasons: see docs/performance.md for the thresholds.
#[utoipa::path(
    get, path = "/api/performance/grade", tag = "Operation",
    responses((status = 200, description = "The grade", body = Object)),
)]
async fn graded(State(app): State<Arc<App>>) -> Result<Json<Graded>, Problem> {
    let report = app.watcher.report(WINDOW, None).await.map_err(|error| unreadable(&error))?;
    let series = app.watcher.series(WINDOW, 1).await.map_err(|error| unreadable(&error))?;
    let grade = grade(&measured(&report, &series));
    let reasons = grade.iter().flat_map(|grade| &grade.reasons).map(|reason| ReasonView {
        metric: reason.metric,
        letter: reason.letter.to_string(),
        text: reason.to_string(),
    });
    Ok(Json(Graded {
        reasons: reasons.collect(),
        letter: grade.as_ref().map(|grade| grade.letter.to_string()),
    }))
}

/// The measurements in a report, and in the averages of the same window, that can be graded.
fn measured(report: &Report, averages: &Series) -> Vec<Measured> {
    let component = |name: &str| report.components.iter().find(|component| component.name == name);
    let stage = |part: &str, name: &str| -> Option<&StageReport> {
        component(part)?.stages.iter().find(|stage| stage.name == name)
    };
    let enough = |part, name| stage(part, name).filter(|stage| stage.count >= MIN_TURNS);
    let average = |part: &str, name: &str| {
        let level = averages.levels.iter().find(|level| level.component == part && level.name == name);
        level.and_then(|level| level.values.iter().copied().flatten().last())
    };
    let mut measured = Vec::new();
    let mut add = |metric, value: Option<f64>| measured.extend(value.map(|value| Measured { metric, value }));
    let total = enough("pipeline", "total");
    add(Metric::TurnP50Ms, total.map(|stage| stage.p50_ms));
    add(Metric::TurnP95Ms, total.map(|stage| stage.p95_ms));
    add(Metric::ErrorRate, total.map(|stage| stage.errors as f64 / stage.count.max(1) as f64));
    add(Metric::OverheadP95Ms, enough("pipeline", "overhead").map(|stage| stage.p95_ms));
    add(Metric::InterruptionP95Ms, enough("turn", "interruption").map(|stage| stage.p95_ms));
    add(Metric::CpuMsPerCallSecond, total.and_then(|_| average("process", "cpu_per_call")));
    measured
}

#[derive(Serialize)]
struct Recommendation {
    title: String,
    /// The expected improvement in percent, with its 95 % interval.
    gain: String,
    /// The measurements on which the expectation is based.
    evidence: String,
    /// The command that applies the recommendation.
    command: String,
}

/// Settings that would improve the performance on this machine: the proposal of the last search, until it is applied.
#[utoipa::path(
    get, path = "/api/performance/recommendations", tag = "Operation",
    responses((status = 200, description = "One object a recommendation", body = Object)),
)]
async fn recommendations(State(app): State<Arc<App>>) -> Result<Json<List<Recommendation>>, Problem> {
    let proposed = app.overlay.as_ref().is_some_and(Overlay::is_proposed);
    let Some(store) = app.watcher.store().filter(|_| proposed) else {
        return Ok(Json(List { data: Vec::new() }));
    };
    let searches = store.documents("optimizer", None, 20).await.map_err(|error| unreadable(&error))?;
    let machine = machine::describe();
    let mut ours = searches.iter().filter(|document| document.machine == machine);
    let finding = ours.find_map(|document| serde_json::from_str::<Finding>(&document.content).ok());
    let found = finding.as_ref().and_then(recommend);
    Ok(Json(List { data: found.into_iter().collect() }))
}

fn recommend(finding: &Finding) -> Option<Recommendation> {
    let comparison = finding.comparison.as_ref().filter(|comparison| is_better(comparison))?;
    let percent = |ratio: f64| (ratio - 1.0) * 100.0;
    let settings: Vec<String> =
        finding.settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    Some(Recommendation {
        title: format!("Set {}", settings.join(", ")),
        gain: format!(
            "{:+.1} % {} (95 %: {:+.1} to {:+.1} %)",
            percent(comparison.ratio),
            finding.goal.unit(),
            percent(comparison.low),
            percent(comparison.high)
        ),
        evidence: format!(
            "{:.1} against {:.1}, {} rounds in turn after {} trials, commit {}",
            comparison.candidate_ms,
            comparison.baseline_ms,
            comparison.rounds,
            finding.trials,
            finding.commit
        ),
        command: "antiphon optimize --apply".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use antiphon_core::measure::Histogram;
    use antiphon_telemetry::{Key, Period, Spans};

    use super::*;

    /// The metrics that are graded in a window with this many turns.
    fn graded(turns: u64) -> Vec<Metric> {
        let pipeline = antiphon_telemetry::Pipeline::default();
        let histogram = Histogram::default();
        (0..turns).for_each(|_| histogram.record(Duration::from_millis(300)));
        let spans = Spans { spans: histogram.snapshot(), errors: 0 };
        let period = Period {
            length: Duration::from_mins(1),
            stages: [(Key::new("pipeline", "total"), spans)].into(),
            levels: [(Key::new("process", "cpu_per_call"), 4.0)].into(),
            ..Period::default()
        };
        let (components, periods) = (pipeline.components(), [Arc::new(period)]);
        let report = Report::new(&components, &periods, None);
        measured(&report, &Series::new(&components, &periods, 1)).iter().map(|one| one.metric).collect()
    }

    #[test]
    fn a_window_with_enough_turns_is_graded_by_their_time_and_cost() {
        let enough = graded(MIN_TURNS);
        assert!(
            enough.contains(&Metric::TurnP95Ms) && enough.contains(&Metric::CpuMsPerCallSecond),
            "{enough:?}"
        );
        assert_eq!(graded(MIN_TURNS - 1), []);
    }
}
