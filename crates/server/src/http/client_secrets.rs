//! `POST /v1/realtime/client_secrets`: makes a client secret, which a browser may hold.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use antiphon_desk::{Access, Entrant, ShortLivedTerms};
use antiphon_transports::realtime;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::routing::post;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::body::Body;
use super::error::ApiError;
use super::routes::Routes;
use crate::app::App;

/// How long a client secret is valid unless the request says so: OpenAI's default.
const USUAL_SECONDS: u64 = 600;

/// How long a client secret is valid, for how many calls, and which session it opens.
#[derive(Deserialize, ToSchema)]
struct ClientSecretRequest {
    expires_after: Option<ExpiresAfter>,
    /// How many calls may begin with it; any number if it is not said. OpenAI has no such field.
    #[schema(value_type = Option<u32>, minimum = 1)]
    max_calls: Option<NonZeroU32>,
    /// The session, as in `session.update`.
    #[schema(value_type = Option<Object>)]
    session: Option<realtime::SessionUpdate>,
}

#[derive(Deserialize, ToSchema)]
struct ExpiresAfter {
    /// Seconds until the key expires, 10 to 7200; 600 if it is not said.
    seconds: Option<u64>,
}

/// A client secret and the session that it opens.
#[derive(Serialize, ToSchema)]
struct ClientSecret {
    value: String,
    /// When it expires, in seconds since 1970.
    expires_at: u64,
    #[schema(value_type = Object)]
    session: Value,
}

/// The route, once more at the path that Azure gives it.
pub(super) fn routes(routes: Routes) -> Routes {
    let azure = "/openai/v1/realtime/client_secrets";
    routes.described(Access::Key, routes!(create)).plain(Access::Key, &[Method::POST], azure, post(create))
}

/// Makes a client secret for Realtime sessions.
///
/// A browser may hold it, because it opens nothing else and expires soon. It is for the person whom this request names in the header
/// `OpenAI-Safety-Identifier`; without one it is for nobody, and nothing is remembered. Calls with it that name anybody else are refused.
#[utoipa::path(
    post,
    path = "/v1/realtime/client_secrets",
    tag = "realtime",
    params(("OpenAI-Safety-Identifier" = Option<String>, Header, description = "The person for whom the secret is made.")),
    request_body = ClientSecretRequest,
    responses((status = 200, body = ClientSecret))
)]
async fn create(
    State(app): State<Arc<App>>,
    Extension(entrant): Extension<Entrant>,
    headers: HeaderMap,
    Body(request): Body<ClientSecretRequest>,
) -> Result<Json<ClientSecret>, ApiError> {
    let seconds = request.expires_after.and_then(|after| after.seconds).unwrap_or(USUAL_SECONDS);
    if !(10..=7_200).contains(&seconds) {
        let message = format!("{seconds} seconds are not between 10 and 7200");
        return Err(ApiError::invalid_param("expires_after.seconds", message));
    }
    let update = request.session.unwrap_or_default();
    let lasting = Duration::from_secs(seconds);
    let terms = ShortLivedTerms { made_by: entrant.key.clone(), lasting, calls: request.max_calls };
    let realtime::ClientSecret { value, session } =
        app.doors.create_client_secret(update, &headers, &entrant, terms)?;
    let now = antiphon_telemetry::unix_time().as_secs();
    Ok(Json(ClientSecret { value, expires_at: now + seconds, session }))
}
