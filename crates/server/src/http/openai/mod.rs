//! OpenAI's REST API, under `/v1`: one file for each of its resources.

mod admission;
mod chat;
mod embeddings;
mod models;
mod patience;
mod speech;
mod sse;
mod transcriptions;
mod upload;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// All resources, each behind a key and the limit on requests at a time.
pub(super) fn routes(app: &Arc<App>) -> OpenApiRouter<Arc<App>> {
    let uploads = OpenApiRouter::new()
        .routes(routes!(transcriptions::create))
        .layer(DefaultBodyLimit::max(app.http.max_upload_bytes));
    OpenApiRouter::new()
        .merge(uploads)
        .routes(routes!(transcriptions::translate))
        .routes(routes!(speech::create))
        .routes(routes!(chat::create))
        .routes(routes!(embeddings::create))
        .routes(routes!(models::list))
        .routes(routes!(models::retrieve))
        .route_layer(from_fn_with_state(Arc::clone(app), admission::admit))
}

/// Seconds since 1970, as OpenAI counts.
fn unix_time() -> u64 {
    antiphon_telemetry::unix_time().as_secs()
}

/// An identity such as OpenAI's: a prefix and random digits.
fn random_id(prefix: &str) -> String {
    format!("{prefix}-{:032x}", rand::random::<u128>())
}
