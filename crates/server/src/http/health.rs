//! Liveness, readiness and metrics, for whoever runs the server.

use std::sync::Arc;

use antiphon_telemetry::Metrics;
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::error::{ApiError, Problem};
use crate::app::App;

/// `/healthz`, `/readyz` and `/metrics`, all without a key.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/healthz", get(live)).route("/readyz", get(ready)).route("/metrics", get(metrics))
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

/// The process runs and its runtime answers.
async fn live() -> Json<Status> {
    Json(Status { status: "ok" })
}

/// New calls are taken. Models need no check: the server listens only once they are loaded.
async fn ready(State(app): State<Arc<App>>) -> Result<Json<Status>, Problem> {
    if app.calls.draining() {
        let message = "the server is shutting down: it finishes the calls it has and takes no new ones";
        return Err(Problem(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message).code("draining")));
    }
    Ok(Json(Status { status: "ready" }))
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    match app.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, Metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            let message = format!("metrics could not be written: {error}");
            Problem(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message)).into_response()
        }
    }
}
