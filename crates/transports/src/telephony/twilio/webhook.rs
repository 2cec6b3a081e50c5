//! `/telephony/twilio`: the request that Twilio sends when a call comes in. The answer connects the call to the
//! media socket.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, OriginalUri, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;

use super::signature::check;
use crate::telephony::webhook::{busy, respond, socket_url};
use crate::{Doors, Refusal};

/// Answers with the TwiML that connects the call.
pub(in crate::telephony) async fn incoming(
    State(doors): State<Arc<Doors>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    method: Method,
    form: Result<Form<BTreeMap<String, String>>, FormRejection>,
) -> Result<Response, Refusal> {
    // The fields of a GET are its query, which is part of the URL and signed with it. An unsigned request learns nothing more, so
    // one without a form is checked as if its form were empty.
    let none = BTreeMap::new();
    let signed = form.as_ref().map(|Form(fields)| fields).ok().filter(|_| method == Method::POST);
    check(&doors, false, &uri, &headers, signed.unwrap_or(&none))?;
    let Ok(Form(fields)) = form else {
        let message =
            "the request has no form that can be read: Twilio sends application/x-www-form-urlencoded";
        return Err(Refusal::request(StatusCode::BAD_REQUEST, message));
    };
    let url = socket_url(&doors, &headers, "/telephony/twilio/media")?;
    if let Some(busy) = busy(&doors) {
        return Ok(busy);
    }
    // The media socket is told who calls whom. Text with characters that XML would have to escape is not a number.
    let is_number = |text: &&String| text.chars().all(|c| c.is_ascii_alphanumeric() || "+-._@:".contains(c));
    let parameter = |(field, name): (&str, &str)| {
        let number = fields.get(field).filter(is_number)?;
        Some(format!("<Parameter name=\"{name}\" value=\"{number}\"/>"))
    };
    let numbers: String = [("From", "from"), ("To", "to")].into_iter().filter_map(parameter).collect();
    Ok(respond(&format!("<Connect><Stream url=\"{url}\">{numbers}</Stream></Connect>")))
}
