//! `/openapi.json`: the description of all routes of the server.

mod refusals;

use std::sync::Arc;

use antiphon_desk::Access;
use axum::http::{Method, header};
use axum::routing::get;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::routes::Routes;
use crate::settings::Settings;

/// OpenAPI cannot describe WebSockets, so each is described as the `GET` request that asks for the upgrade.
const WEB_SOCKETS: [(&str, &str); 6] = [
    ("/v1/realtime", "OpenAI Realtime: a call as JSON events"),
    ("/openai/v1/realtime", "The same as /v1/realtime"),
    ("/talk/ws", "The talk page: a call as binary audio and JSON text frames, see docs/talk-protocol.md"),
    ("/telephony/twilio/media", "Twilio Media Streams: a phone call as JSON text frames"),
    ("/telephony/telnyx/media", "Telnyx media streaming: a phone call as JSON text frames"),
    ("/ws", "The same as /telephony/twilio/media"),
];

/// The part of the document that applies to all paths. The paths themselves are described next to their handlers.
#[derive(OpenApi)]
#[openapi(
    info(title = "Antiphon", description = "A self-hosted real-time voice-agent server"),
    security(("key" = [])),
    modifiers(&BearerKey, &WebSockets),
)]
struct Description;

struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("One of [server] api_keys; none is needed when none are configured"))
            .build();
        api.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

struct WebSockets;

impl Modify for WebSockets {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for (path, summary) in WEB_SOCKETS {
            let upgraded = ResponseBuilder::new().description("The connection is a WebSocket now").build();
            let operation = OperationBuilder::new().summary(Some(summary)).response("101", upgraded).build();
            api.paths.paths.insert(path.to_owned(), PathItem::new(HttpMethod::Get, operation));
        }
    }
}

/// The document without its paths.
pub(super) fn description() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// The route of `/openapi.json`, which describes the routes registered so far.
pub(super) fn routes(mut routes: Routes, settings: &Settings) -> Routes {
    let mut api = serde_json::to_value(routes.document()).unwrap_or_default();
    let access = routes.recorded().iter().map(|route| (route.path.as_str(), route.access)).collect();
    refusals::describe(&mut api, &access, settings);
    let text: Arc<str> = api.to_string().into();
    let answer = move || async move { ([(header::CONTENT_TYPE, "application/json")], text.to_string()) };
    routes.plain(Access::Public, &[Method::GET], "/openapi.json", get(answer))
}
