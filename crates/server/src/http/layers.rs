//! The layers that every request passes: proxies, request id, log, metrics, CORS, panics, and limits for bodies that come slowly.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use antiphon_desk::{Keys, is_local_origin};
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use tracing::Instrument;

use super::error::ApiError;
use super::forwarded;
use super::in_the_shape_of;
use super::steady_body::{Slow, SteadyBody, TOO_SLOW};
use super::unread_body::UnreadBody;
use crate::app::App;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id, in characters, that is accepted from a client. A UUID has 36; longer ids would clutter
/// the log.
const MAX_REQUEST_ID: usize = 128;

pub(super) fn wrap(routes: Router<Arc<App>>, app: &Arc<App>) -> Router<Arc<App>> {
    routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(cors(&app.desk.keys))
        .layer(from_fn_with_state(Arc::clone(app), observe))
        .layer(from_fn_with_state(Arc::clone(app), forwarded::resolve))
}

/// Gives the request an id, a span, a line in the log and a count in the metrics, and limits how slowly its body may come.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    #[expect(clippy::disallowed_methods, reason = "told in the log and the metrics, decides nothing")]
    let started = Instant::now();
    let id = request_id(&request);
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!("http", request_id = id.to_str().unwrap_or_default(), method, route);

    let (slow, uri) = (Slow::default(), request.uri().clone());
    let (head, body) = request.into_parts();
    let body = SteadyBody::new(UnreadBody::of(&head.headers, body), slow.clone());
    let request = Request::from_parts(head, Body::new(body));
    let mut response = next.run(request).instrument(span.clone()).await;
    if slow.is_set() && response.status().is_client_error() {
        response = in_the_shape_of(&uri, ApiError::new(StatusCode::REQUEST_TIMEOUT, TOO_SLOW));
    }

    let status = response.status().as_u16();
    app.metrics.http_request(method, route, status);
    tracing::debug!(parent: &span, status, elapsed_ms = started.elapsed().as_millis() as u64, "answered");
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The request id that the client sent, if it is valid, else a random one.
fn request_id(request: &Request) -> HeaderValue {
    let given = request.headers().get(REQUEST_ID);
    let usable = |id: &&HeaderValue| !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.to_str().is_ok();
    let random = || HeaderValue::try_from(format!("req_{:032x}", rand::random::<u128>()));
    given.filter(usable).cloned().map_or_else(random, Ok).unwrap_or(HeaderValue::from_static("req_0"))
}

/// The method for the metrics. Clients can choose any text as the method, so unknown ones are counted together.
pub(super) fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// With keys configured any page may send requests, because it needs a key. Without keys only pages of this
/// machine may.
fn cors(keys: &Keys) -> CorsLayer {
    let open = keys.is_open();
    let origins =
        AllowOrigin::predicate(move |origin, _| !open || origin.to_str().is_ok_and(is_local_origin));
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([header::LOCATION, REQUEST_ID])
}

/// The panic hook has logged the panic itself. The client only learns that the fault is the server's.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    let message = "a bug in the server; its log says more under this response's x-request-id";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message).code("internal_error").into_response()
}
