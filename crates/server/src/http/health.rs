//! Health, readiness and metrics, for operators.

use std::sync::Arc;

use antiphon_desk::{Access, Busy};
use antiphon_telemetry::Metrics;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::error::{ApiError, Problem};
use super::routes::Routes;
use crate::app::App;

/// The routes of `/healthz`, `/readyz` and `/metrics`, which need no key.
pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .described(Access::Public, routes!(live))
        .described(Access::Public, routes!(ready))
        .described(Access::Public, routes!(metrics))
}

#[derive(Serialize, ToSchema)]
struct Status {
    status: &'static str,
}

/// The process runs and its runtime answers.
#[utoipa::path(
    get, path = "/healthz", tag = "Operation", security(()),
    responses((status = 200, description = "Alive", body = Status)),
)]
async fn live() -> Json<Status> {
    Json(Status { status: "ok" })
}

/// Answers whether a new call would be admitted now: the server is neither stopping nor full nor overloaded.
///
/// Models need no check, because the server listens only once they are loaded.
#[utoipa::path(
    get, path = "/readyz", tag = "Operation", security(()),
    responses(
        (status = 200, description = "Ready", body = Status),
        (
            status = 503, description = "Takes no calls now: full, overloaded, or shutting down",
            headers(("Retry-After" = u64, description = "Seconds after which to ask again"))
        ),
    ),
)]
async fn ready(State(app): State<Arc<App>>) -> Result<Json<Status>, Problem> {
    match app.desk.calls.busy() {
        None => Ok(Json(Status { status: "ready" })),
        Some(busy) => {
            let code = match busy {
                Busy::Full(_) | Busy::Share(_) => "full",
                Busy::Overloaded => "overloaded",
                Busy::Draining => "draining",
            };
            Err(Problem(ApiError::from(busy).code(code)))
        }
    }
}

/// All metrics for Prometheus: as OpenMetrics for whoever accepts it, as Prometheus does, else in the older text format.
#[utoipa::path(
    get, path = "/metrics", tag = "Operation", security(()),
    responses((status = 200, description = "The metrics", content(
        (String = "text/plain"), (String = "application/openmetrics-text"),
    ))),
)]
async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let (media_type, text) =
        if accepted.into_iter().any(|accept| accept.contains("application/openmetrics-text")) {
            (Metrics::OPENMETRICS, app.metrics.encode())
        } else {
            (Metrics::PLAIN, app.metrics.encode_plain())
        };
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, media_type), (header::VARY, "accept")], text).into_response(),
        Err(error) => {
            let message = format!("metrics could not be written: {error}");
            Problem(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message)).into_response()
        }
    }
}
