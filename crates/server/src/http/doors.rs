//! Registers the routes of the doors with the access that each requires, and writes their refusals in the format that
//! their clients read.

use std::sync::Arc;

use antiphon_transports::{DoorRoute, Refusal, realtime, talk, telephony};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};

use super::error::{ApiError, Problem};
use super::routes::Routes;
use crate::app::App;

/// The routes of all doors. OpenAI's clients read errors in OpenAI's format, all others read problem details.
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

/// The response. If it carries a refusal, that is written in the client's format.
async fn shaped<E: From<Refusal> + IntoResponse>(mut response: Response) -> Response {
    match Refusal::of(&mut response) {
        Some(refusal) => E::from(refusal).into_response(),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use antiphon_desk::Busy;
    use axum::http::{StatusCode, header};

    use super::*;

    #[tokio::test]
    async fn a_refusal_is_told_in_the_shape_that_the_clients_of_its_door_read() {
        let refused = || Refusal::from(Busy::Full(1)).into_response();
        let for_openai = shaped::<ApiError>(refused()).await;
        let for_others = shaped::<Problem>(refused()).await;
        for (response, media_type) in
            [(&for_openai, "application/json"), (&for_others, "application/problem+json")]
        {
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[header::CONTENT_TYPE], media_type);
            assert!(response.headers().contains_key(header::RETRY_AFTER));
        }
    }

    #[tokio::test]
    async fn what_is_no_refusal_passes_unchanged() {
        let response = shaped::<ApiError>((StatusCode::IM_A_TEAPOT, "tea").into_response()).await;
        assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    }
}
