//! Limits how many REST requests arrive and are answered at a time.
//!
//! A request takes a place among those that are answered only when its body is there. Until then it has a place among those that
//! arrive, of which one client may have half: whoever sends slowly keeps nobody else waiting.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{Error, ErrorKind, Share};
use antiphon_desk::{Busy, Entrant, Exhausted, Part};
use axum::Extension;
use axum::extract::{FromRequest, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::http::body;
use crate::http::error::ApiError;
use crate::http::held_body::holding;

/// What `Retry-After` tells refused clients. Requests take seconds, so there will be room soon.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Receives a request and answers it if there is room. It counts until the last byte of its response is sent or its client
/// has gone.
pub(super) async fn admit(
    State(app): State<Arc<App>>,
    Extension(entrant): Extension<Entrant>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let arriving = arrive(&app, &entrant)?;
    let (head, body) = request.into_parts();
    let whole = Bytes::from_request(Request::from_parts(head.clone(), body), &app);
    let whole = body::in_time(whole).await?;
    drop(arriving);
    let place = place(&app)?;
    let response = next.run(Request::from_parts(head, whole.into())).await;
    Ok(holding(response, place))
}

/// Takes a place among the requests that arrive.
pub(super) fn arrive(app: &App, entrant: &Entrant) -> Result<Part<Share>, ApiError> {
    if app.desk.calls.draining() {
        return Err(Busy::Draining.into());
    }
    let mut arriving = app.arriving.part(Some(app.desk.requester(entrant).share));
    arriving.grow(1).map_err(|exhausted| match exhausted {
        Exhausted::InAll(max) => {
            refused(format!("{max} requests are being received already, which is the limit"))
        }
        Exhausted::Each(max) => {
            refused(format!("{max} of your requests are being received already, which is your part"))
        }
    })?;
    Ok(arriving)
}

/// Takes a place among the requests that are answered.
pub(super) fn place(app: &App) -> Result<OwnedSemaphorePermit, ApiError> {
    let max = app.http.max_requests;
    let place = Arc::clone(&app.requests).try_acquire_owned();
    place.map_err(|_| refused(format!("{max} requests are being answered already, which is the limit")))
}

/// Refuses what the engines of this machine would be too late for.
pub(super) fn engines(app: &App) -> Result<(), ApiError> {
    if app.backlog.is_long() {
        return Err(refused("the engines have more to do than they can do in time".to_owned()));
    }
    Ok(())
}

fn refused(what: String) -> ApiError {
    Error::new(ErrorKind::RateLimited, what + "; try again soon").with_retry_after(RETRY_AFTER).into()
}
