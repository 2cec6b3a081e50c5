//! HTTP: the router of everything the server answers, and the server itself.

mod advice;
pub mod auth;
pub(crate) mod body;
mod cache;
mod calls;
pub mod error;
mod health;
mod layers;
mod openai;
mod openapi;
mod pages;
mod performance;
mod profile;
mod serve;
mod settings;
mod tls;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

pub use serve::{serve, stop_signals};
pub use settings::{Settings, Telephony, Tls};

use crate::app::App;
use crate::transports::realtime;
use error::{ApiError, Problem};

/// Everything the server answers.
pub fn router(app: Arc<App>) -> Router {
    let described =
        openapi::described().merge(health::routes()).merge(openai::routes(&app)).merge(realtime::routes());
    let described = described.merge(performance::routes()).merge(profile::routes()).merge(calls::routes());
    let described = described.merge(advice::routes()).merge(cache::routes());
    let (routes, api) = described.split_for_parts();
    let routes = routes
        .merge(openapi::routes(&api))
        .merge(pages::routes())
        .merge(crate::transports::talk::routes())
        .merge(crate::transports::telephony::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(app.http.max_json_bytes));
    layers::wrap(routes, &app).with_state(app)
}

async fn not_found(uri: Uri) -> Response {
    let message = format!("nothing is at {}; /openapi.json lists what there is", uri.path());
    in_the_shape_of(&uri, ApiError::new(StatusCode::NOT_FOUND, message).code("unknown_url"))
}

async fn method_not_allowed(uri: Uri) -> Response {
    let message = format!("{} does not answer this method; /openapi.json lists those it does", uri.path());
    in_the_shape_of(&uri, ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message).code("method_not_allowed"))
}

/// OpenAI's clients use `/v1` and read OpenAI's errors; everybody else reads problem details.
fn in_the_shape_of(uri: &Uri, error: ApiError) -> Response {
    if uri.path().starts_with("/v1/") { error.into_response() } else { Problem(error).into_response() }
}
