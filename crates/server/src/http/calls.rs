//! `/api/calls`: the active calls.

use std::sync::Arc;

use antiphon_desk::Access;
use antiphon_telemetry::CallView;
use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::error::Problem;
use super::performance::within;
use super::routes::Routes;
use crate::app::App;

const MAX_PAGE: usize = 1_000;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.described(Access::Key, routes!(list))
}

#[derive(Deserialize, IntoParams)]
struct Page {
    /// Most calls in the answer, 1 to 1000; 100 when missing.
    limit: Option<usize>,
    /// Only calls that began after the one with this id.
    after: Option<String>,
}

#[derive(Serialize)]
struct Calls {
    data: Vec<CallView>,
    /// Number of active calls, on all pages.
    active: usize,
    /// Most calls at a time.
    limit: usize,
    /// Whether there are more calls. To get them, pass the id of the last one as `after`.
    has_more: bool,
}

/// Lists the active calls, the oldest first.
#[utoipa::path(
    get, path = "/api/calls", tag = "Operation", params(Page),
    responses((status = 200, description = "One object a call", body = Object)),
)]
async fn list(State(app): State<Arc<App>>, Query(page): Query<Page>) -> Result<Json<Calls>, Problem> {
    let most = within("limit", page.limit.unwrap_or(100), MAX_PAGE)?;
    let calls = app.live.calls();
    let active = calls.len();
    // If the call with this id has ended, the list starts from the beginning: that shows some calls again but
    // omits none.
    let after = page.after.and_then(|after| calls.iter().position(|call| call.id == after));
    let mut data: Vec<CallView> =
        calls.into_iter().skip(after.map_or(0, |at| at + 1)).take(most + 1).collect();
    let has_more = data.len() > most;
    data.truncate(most);
    Ok(Json(Calls { data, active, limit: app.http.max_calls, has_more }))
}
