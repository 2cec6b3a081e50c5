//! `/api/performance`: the measurements of all components, now and earlier.

use std::sync::Arc;
use std::time::Duration;

use antiphon_desk::Access;
use antiphon_telemetry::{Alert, Report, Series, StoreError, TurnView};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::error::{ApiError, Problem};
use super::routes::Routes;
use crate::app::App;

/// Longest window in minutes: a year.
const MAX_MINUTES: u64 = 366 * 24 * 60;
/// The window in minutes when the request names none.
const MINUTES: u64 = 60;
const MAX_POINTS: usize = 2_000;
const MAX_TURNS: usize = 500;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .described(Access::Key, routes!(report))
        .described(Access::Key, routes!(history))
        .described(Access::Key, routes!(turns))
        .described(Access::Key, routes!(alerts))
}

/// A list, in the format of all lists in the server's own API.
#[derive(Serialize)]
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
}

#[derive(Deserialize, IntoParams)]
struct ReportQuery {
    /// The name of the only component to report; all when missing.
    component: Option<String>,
    /// Length of the window in minutes; 60 when missing.
    minutes: Option<u64>,
}

/// How long the steps of a turn took, and what was counted, for each component.
#[utoipa::path(
    get, path = "/api/performance", tag = "Operation", params(ReportQuery),
    responses((status = 200, description = "One object a component", body = Object)),
)]
async fn report(
    State(app): State<Arc<App>>,
    Query(query): Query<ReportQuery>,
) -> Result<Json<Report>, Problem> {
    let names = app.watcher.monitor().names();
    if let Some(name) = query.component.as_deref().filter(|name| !names.contains(name)) {
        let message = format!("there is no component '{name}'; there are {}", names.join(", "));
        return Err(Problem(ApiError::new(StatusCode::NOT_FOUND, message).param("component")));
    }
    let window = window(query.minutes)?;
    Ok(Json(
        app.watcher.report(window, query.component.as_deref()).await.map_err(|error| unreadable(&error))?,
    ))
}

#[derive(Deserialize, IntoParams)]
struct HistoryQuery {
    /// Length of the window in minutes; 60 when missing.
    minutes: Option<u64>,
    /// Most points in the answer, 1 to 2000; 120 when missing.
    points: Option<usize>,
}

/// Stages and levels over time.
#[utoipa::path(
    get, path = "/api/performance/history", tag = "Operation", params(HistoryQuery),
    responses((status = 200, description = "One series a stage and a level", body = Object)),
)]
async fn history(
    State(app): State<Arc<App>>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Series>, Problem> {
    let points = within("points", query.points.unwrap_or(120), MAX_POINTS)?;
    Ok(Json(app.watcher.series(window(query.minutes)?, points).await.map_err(|error| unreadable(&error))?))
}

#[derive(Deserialize, IntoParams)]
struct Limit {
    /// Most turns in the answer, 1 to 500; 50 when missing.
    limit: Option<usize>,
}

/// The latest turns, the latest first, with the times of their steps.
#[utoipa::path(
    get, path = "/api/performance/turns", tag = "Operation", params(Limit),
    responses((status = 200, description = "One object a turn", body = Object)),
)]
async fn turns(
    State(app): State<Arc<App>>,
    Query(query): Query<Limit>,
) -> Result<Json<List<TurnView>>, Problem> {
    let limit = within("limit", query.limit.unwrap_or(50), MAX_TURNS)?;
    Ok(Json(List { data: app.live.turns(limit) }))
}

/// Alerts, the latest first, including resolved ones.
#[utoipa::path(
    get, path = "/api/performance/alerts", tag = "Operation",
    responses((status = 200, description = "One object an alert", body = Object)),
)]
async fn alerts(State(app): State<Arc<App>>) -> Result<Json<List<Alert>>, Problem> {
    Ok(Json(List { data: app.watcher.alerts() }))
}

fn window(minutes: Option<u64>) -> Result<Duration, Problem> {
    let minutes = minutes.unwrap_or(MINUTES);
    within("minutes", minutes as usize, MAX_MINUTES as usize).map(|_| Duration::from_mins(minutes))
}

pub(super) fn within(name: &'static str, value: usize, most: usize) -> Result<usize, Problem> {
    if (1..=most).contains(&value) {
        return Ok(value);
    }
    let message = format!("{name} is not between 1 and {most}");
    Err(Problem(ApiError::new(StatusCode::BAD_REQUEST, message).param(name)))
}

pub(super) fn unreadable(error: &StoreError) -> Problem {
    tracing::error!(%error, "measurements cannot be read");
    let message = "what was measured cannot be read; the server's log says why";
    Problem(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message))
}
