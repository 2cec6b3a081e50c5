//! `POST /api/performance/profile`: a profile of the running server.

use std::sync::Arc;
use std::time::Duration;

use antiphon_desk::Access;
use antiphon_telemetry::profile::{CpuSampler, HeapSampler, Kind, Profile, ProfileError};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::error::{ApiError, Problem};
use super::performance::within;
use super::routes::Routes;
use crate::app::App;

const MAX_SECONDS: usize = 600;
const SECONDS: usize = 10;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.described(Access::Key, routes!(take))
}

#[derive(Deserialize, IntoParams)]
struct ProfileQuery {
    /// How long to sample, in seconds, 1 to 600; 10 when missing.
    seconds: Option<usize>,
    /// `cpu` or `heap`; `cpu` when missing.
    kind: Option<String>,
    /// Include only the work of this component.
    component: Option<String>,
}

/// Takes a profile of the next seconds: where CPU time goes, or which memory is allocated and not freed.
///
/// With `Accept: image/svg+xml` the answer is a flame graph.
#[utoipa::path(
    post, path = "/api/performance/profile", tag = "Operation", params(ProfileQuery),
    responses(
        (status = 200, description = "The profile", body = Object),
        (status = 409, description = "Another one is being taken"),
        (status = 501, description = "Not on this system"),
    ),
)]
async fn take(
    State(app): State<Arc<App>>,
    Query(query): Query<ProfileQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let seconds = within("seconds", query.seconds.unwrap_or(SECONDS), MAX_SECONDS)?;
    let duration = Duration::from_secs(seconds as u64);
    let component = query.component.clone();
    let profile = match query.kind.as_deref() {
        None | Some("cpu") => cpu(&app, duration, component).await,
        Some("heap") => heap(duration, component).await,
        Some(other) => {
            let message = format!("kind={other} is not known: cpu, heap");
            return Err(Problem(ApiError::new(StatusCode::BAD_REQUEST, message).param("kind")));
        }
    };
    let profile = profile.map_err(|error| refused(&error))?;
    keep(&app, &profile).await;
    let picture =
        headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"image/svg"));
    if picture {
        return Ok(([(header::CONTENT_TYPE, "image/svg+xml")], profile.flame_graph()).into_response());
    }
    Ok(Json(profile).into_response())
}

async fn cpu(app: &Arc<App>, duration: Duration, component: Option<String>) -> Result<Profile, ProfileError> {
    let sampler = CpuSampler::start()?;
    tokio::time::sleep(duration).await;
    let live = Arc::clone(&app.live);
    // Looking up the names takes a core for a second, so it runs on another thread.
    let finished = tokio::task::spawn_blocking(move || {
        sampler.finish(component.as_deref(), |number| live.numbered(number))
    });
    finished.await.map_err(|error| ProfileError::System(std::io::Error::other(error)))
}

async fn heap(duration: Duration, component: Option<String>) -> Result<Profile, ProfileError> {
    let mut sampler = HeapSampler::start()?;
    for _ in 0..HeapSampler::PARTS {
        tokio::time::sleep(duration / HeapSampler::PARTS).await;
        let looked = tokio::task::spawn_blocking(move || sampler.look().map(|()| sampler));
        sampler = looked.await.map_err(|error| ProfileError::System(std::io::Error::other(error)))??;
    }
    let finished = tokio::task::spawn_blocking(move || sampler.finish(component.as_deref()));
    finished.await.map_err(|error| ProfileError::System(std::io::Error::other(error)))?
}

/// Stores the profile in `performance.db`, without its stacks, which are large.
async fn keep(app: &App, profile: &Profile) {
    let Some(store) = app.watcher.store() else { return };
    let subject = if profile.kind == Kind::Cpu { "cpu" } else { "heap" };
    let short = Profile { folded: Vec::new(), ..profile.clone() };
    let now = antiphon_telemetry::unix_time().as_secs();
    let Ok(content) = serde_json::to_string(&short) else { return };
    if let Err(error) = store.add_document("profile", now, "", subject, &content).await {
        tracing::warn!(%error, "the profile could not be kept");
    }
}

fn refused(error: &ProfileError) -> Problem {
    let status = match error {
        ProfileError::Busy => StatusCode::CONFLICT,
        ProfileError::Unsupported | ProfileError::Allocator(_) => StatusCode::NOT_IMPLEMENTED,
        ProfileError::System(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Problem(ApiError::new(status, error.to_string()))
}
