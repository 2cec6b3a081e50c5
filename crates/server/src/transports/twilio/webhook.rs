//! `/telephony/twilio`: what Twilio asks when a call comes in; the answer connects it to the media socket.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, OriginalUri, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::signature::check;
use crate::app::App;
use crate::http::error::{ApiError, Problem};

/// Answers with the TwiML that connects the call.
pub(super) async fn incoming(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    method: Method,
    form: Result<Form<BTreeMap<String, String>>, FormRejection>,
) -> Response {
    // A query is part of the URL, which is signed as a whole.
    let fields = if method == Method::POST { form.map(|Form(fields)| fields) } else { Ok(BTreeMap::new()) };
    let Ok(fields) = fields else {
        let message = "the request has no form: Twilio sends application/x-www-form-urlencoded";
        return Problem(ApiError::new(StatusCode::BAD_REQUEST, message)).into_response();
    };
    if let Err(refused) = check(&app, false, &uri, &headers, &fields) {
        return Problem::from(refused).into_response();
    }
    let Some(host) = app.http.telephony.host(&headers) else {
        let message = "the request names no host: set [telephony] public_url";
        return Problem(ApiError::new(StatusCode::BAD_REQUEST, message)).into_response();
    };
    let scheme = if app.http.telephony.is_plain(&host) { "ws" } else { "wss" };
    // Hosts and ports hold nothing that XML would have to escape; whatever does is no host.
    if !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c)) {
        let message = "the request names no sensible host";
        return Problem(ApiError::new(StatusCode::BAD_REQUEST, message)).into_response();
    }
    if app.desk.calls.busy().is_some() {
        // Said, not signalled: a caller who hears why calls again later.
        let twiml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Say>All our lines are busy at the moment. \
            Please call again in a few minutes.</Say><Hangup/></Response>\n";
        return ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], twiml).into_response();
    }
    // The media socket is told who calls. What holds anything that XML would have to escape is no number.
    let number = |from: &&String| from.chars().all(|c| c.is_ascii_alphanumeric() || "+-._@:".contains(c));
    let from = fields
        .get("From")
        .filter(number)
        .map_or_else(String::new, |from| format!("<Parameter name=\"from\" value=\"{from}\"/>"));
    let twiml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Connect><Stream \
         url=\"{scheme}://{host}/telephony/twilio/media\">{from}</Stream></Connect></Response>\n"
    );
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], twiml).into_response()
}
