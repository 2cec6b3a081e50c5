//! `GET /api/performance`: what every component times and counts.

use std::sync::Arc;
use std::time::Duration;

use antiphon_telemetry::Report;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Problem};
use crate::app::App;

/// The longest window that is kept.
const MAX_MINUTES: u64 = 60;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(report))
}

#[derive(Deserialize, IntoParams)]
struct Wanted {
    /// Only this component.
    component: Option<String>,
    /// Only the last so many minutes, 1 to 60; the last hour when missing.
    minutes: Option<u64>,
}

/// How long the steps of a turn took, and what was counted, component by component.
#[utoipa::path(
    get, path = "/api/performance", tag = "Operation", params(Wanted),
    responses((status = 200, description = "One object a component", body = Object)),
)]
async fn report(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Report>, Problem> {
    app.http.auth.check(&headers)?;
    if wanted.minutes.is_some_and(|minutes| !(1..=MAX_MINUTES).contains(&minutes)) {
        let message = format!("minutes is not between 1 and {MAX_MINUTES}");
        return Err(Problem(ApiError::new(StatusCode::BAD_REQUEST, message).param("minutes")));
    }
    let names = app.monitor.names();
    if let Some(name) = wanted.component.as_deref().filter(|name| !names.contains(name)) {
        let message = format!("there is no component '{name}'; there are {}", names.join(", "));
        return Err(Problem(ApiError::new(StatusCode::NOT_FOUND, message).param("component")));
    }
    let window = wanted.minutes.map(Duration::from_mins);
    Ok(Json(app.monitor.report(window, wanted.component.as_deref())))
}
