//! OpenAI's REST API, under `/v1` and where Azure has it: one file for each of its resources.

mod admission;
mod asked;
mod azure;
mod chat;
mod embeddings;
mod models;
mod patience;
mod responses;
mod speech;
mod sse;
mod transcriptions;
mod upload;
mod voices;

use std::sync::Arc;

use antiphon_desk::Access;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use utoipa_axum::router::UtoipaMethodRouterExt;
use utoipa_axum::routes;

use super::request_span;
use super::routes::Routes;
use crate::app::App;

/// The routes of all resources, behind the limit on concurrent requests.
pub(super) fn routes(routes: Routes, app: &Arc<App>) -> Routes {
    let admitted = || from_fn_with_state(Arc::clone(app), admission::admit);
    let traced = || from_fn_with_state(Arc::clone(app), request_span::trace);
    let uploads = || DefaultBodyLimit::max(app.http.max_upload_bytes);
    // An upload is written to disk as it arrives, so its handler itself takes the places.
    let routes =
        routes.described(Access::Key, routes!(transcriptions::create).layer(uploads()).layer(traced()));
    let resources = [
        routes!(transcriptions::translate),
        routes!(speech::create),
        routes!(chat::create),
        routes!(responses::create),
        routes!(embeddings::create),
        routes!(models::list),
        routes!(models::retrieve),
        routes!(voices::voices),
        routes!(voices::models),
    ];
    let routes = resources.into_iter().fold(routes, |routes, resource| {
        routes.described(Access::Key, resource.layer(admitted()).layer(traced()))
    });
    let routes = azure::resources()
        .into_iter()
        .fold(routes, |routes, azure| azure.add(routes, |handler| handler.layer(admitted()).layer(traced())));
    azure::uploads()
        .into_iter()
        .fold(routes, |routes, azure| azure.add(routes, |handler| handler.layer(uploads()).layer(traced())))
}

/// The time in seconds since 1970, as OpenAI writes it.
fn unix_time() -> u64 {
    antiphon_telemetry::unix_time().as_secs()
}

/// An id in OpenAI's format: a prefix, which ends with `-` or `_`, and random characters.
fn random_id(prefix: &str) -> String {
    format!("{prefix}{:032x}", rand::random::<u128>())
}
