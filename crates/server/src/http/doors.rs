//! The routes of the doors, each for whom its door says, with refusals in the shape that its clients read.

use std::sync::Arc;

use antiphon_transports::{DoorRoute, Refusal, realtime, talk, telephony};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};

use super::error::{ApiError, Problem};
use super::routes::Routes;
use crate::app::App;

/// All doors. OpenAI's clients read OpenAI's errors, all others problem details.
pub(super) fn routes(routes: Routes, app: &App) -> Routes {
    let routes = add::<ApiError>(routes, app, realtime::routes());
    let routes = add::<Problem>(routes, app, talk::routes());
    add::<Problem>(routes, app, telephony::routes())
}

fn add<E: From<Refusal> + IntoResponse + 'static>(
    routes: Routes,
    app: &App,
    of_door: Vec<DoorRoute>,
) -> Routes {
    of_door.into_iter().fold(routes, |routes, DoorRoute { access, methods, path, handler }| {
        let handler = handler.layer(map_response(shaped::<E>)).with_state(Arc::clone(&app.doors));
        routes.plain(access, &methods, path, handler)
    })
}

/// The response, or the refusal that it carries as the client reads it.
async fn shaped<E: From<Refusal> + IntoResponse>(mut response: Response) -> Response {
    match Refusal::of(&mut response) {
        Some(refusal) => E::from(refusal).into_response(),
        None => response,
    }
}
