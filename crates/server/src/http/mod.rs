//! HTTP: the router with all routes of the server, and the server itself.

mod advice;
pub(crate) mod body;
mod cache;
mod calls;
mod client_secrets;
mod connections;
mod doors;
pub mod error;
mod forwarded;
mod health;
mod held_body;
mod layers;
mod openai;
mod openapi;
mod pages;
mod performance;
mod profile;
mod request_span;
pub(crate) mod routes;
mod serve;
mod steady_body;
mod tls;
mod unread_body;
mod visit;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

pub use routes::Route;
pub use serve::{serve, stop_signals};
pub(crate) use tls::check as check_tls;

use crate::app::App;
use error::{ApiError, Problem};
use routes::Routes;

/// The router with all routes.
pub fn router(app: Arc<App>) -> Router {
    let routes = registered(&app)
        .behind_keys(&app)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(app.http.max_json_bytes));
    layers::wrap(routes, &app).with_state(app)
}

/// All routes, with the access that each requires.
pub fn routes(app: &Arc<App>) -> Vec<Route> {
    registered(app).recorded().to_vec()
}

fn registered(app: &Arc<App>) -> Routes {
    let routes = Routes::new(openapi::description());
    let routes = openai::routes(health::routes(routes), app);
    let routes = doors::routes(client_secrets::routes(routes), app);
    let routes = calls::routes(profile::routes(performance::routes(routes)));
    let routes = cache::routes(advice::routes(routes));
    pages::routes(openapi::routes(routes, &app.http))
}

async fn not_found(uri: Uri) -> Response {
    let message = format!("nothing is at {}; /openapi.json lists what there is", uri.path());
    in_the_shape_of(&uri, ApiError::new(StatusCode::NOT_FOUND, message).code("unknown_url"))
}

async fn method_not_allowed(uri: Uri) -> Response {
    let message = format!("{} does not answer this method; /openapi.json lists those it does", uri.path());
    in_the_shape_of(&uri, ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message).code("method_not_allowed"))
}

/// OpenAI's clients read errors in OpenAI's format; all others read problem details.
fn in_the_shape_of(uri: &Uri, error: ApiError) -> Response {
    if is_openais(uri.path()) { error.into_response() } else { Problem(error).into_response() }
}

/// Whether this path belongs to OpenAI's interface: `/v1`, and `/openai` as Azure has it.
fn is_openais(path: &str) -> bool {
    ["/v1/", "/openai/"].iter().any(|prefix| path.starts_with(prefix))
}
