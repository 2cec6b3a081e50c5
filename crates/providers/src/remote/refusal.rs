//! Errors that servers send, in the formats of all vendors.

use std::time::Duration;

use antiphon_core::ErrorKind;
use reqwest::StatusCode;
use serde_json::Value;

use super::rate;

/// The content of the body of an error.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Refusal {
    /// The server's message; empty if there is none.
    pub(super) message: String,
    /// The kind that its error code stands for, if the code is known.
    pub(super) code: Option<ErrorKind>,
    /// The wait that the server asks for.
    pub(super) wait: Option<Duration>,
}

impl Refusal {
    /// Reads a body, which may be anything.
    pub(super) fn parse(body: &[u8]) -> Self {
        serde_json::from_slice(body).map_or_else(|_| Self::default(), |json| Self::read(&json))
    }

    /// Reads a body that is JSON.
    pub(super) fn read(json: &Value) -> Self {
        // Gemini wraps an error into a list when the answer is streamed.
        let json = json.get(0).unwrap_or(json);
        let error = json.get("error").filter(|error| error.is_object()).unwrap_or(json);
        let details = || error.get("details").and_then(Value::as_array).into_iter().flatten();
        let reasons = details().filter_map(|detail| detail.get("reason"));
        let codes = ["code", "type", "status"].iter().filter_map(|key| error.get(key));
        let word = |value: &Value| value.as_str().and_then(kind_of_word);
        let code = reasons.chain(codes).find_map(word).or_else(|| {
            let code = u16::try_from(error.get("code")?.as_u64()?).ok()?;
            let status = StatusCode::from_u16(code).ok()?;
            (status.is_client_error() || status.is_server_error()).then(|| kind_of(status))
        });
        let delay = details().find_map(|detail| detail.get("retryDelay")?.as_str());
        let wait = delay.and_then(rate::span).map(rate::limited);
        Self { message: message(json).to_owned(), code, wait }
    }

    /// The kind of an error with this status. Two statuses are ambiguous, and the error code decides: Gemini sends 400
    /// for a wrong key, OpenAI sends 429 for an empty account.
    pub(super) fn kind(&self, status: StatusCode) -> ErrorKind {
        let ambiguous = matches!(status, StatusCode::BAD_REQUEST | StatusCode::TOO_MANY_REQUESTS);
        self.code.filter(|_| ambiguous).unwrap_or_else(|| kind_of(status))
    }
}

/// The kind of an error with this status.
pub(crate) fn kind_of(status: StatusCode) -> ErrorKind {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PAYMENT_REQUIRED => {
            ErrorKind::Unauthorized
        }
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => ErrorKind::Timeout,
        status if status.is_client_error() => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    }
}

/// The kind of an error code of OpenAI and compatible servers, of Anthropic, and of Google (`google.rpc.Code`).
fn kind_of_word(word: &str) -> Option<ErrorKind> {
    Some(match word {
        "authentication_error"
        | "permission_error"
        | "billing_error"
        | "invalid_api_key"
        | "insufficient_quota"
        | "API_KEY_INVALID"
        | "UNAUTHENTICATED"
        | "PERMISSION_DENIED" => ErrorKind::Unauthorized,
        "rate_limit_error" | "rate_limit_exceeded" | "RESOURCE_EXHAUSTED" => ErrorKind::RateLimited,
        "not_found_error" | "model_not_found" | "NOT_FOUND" => ErrorKind::NotFound,
        "timeout_error" | "DEADLINE_EXCEEDED" => ErrorKind::Timeout,
        "invalid_request_error"
        | "request_too_large"
        | "context_length_exceeded"
        | "INVALID_ARGUMENT"
        | "FAILED_PRECONDITION" => ErrorKind::Invalid,
        "overloaded_error" | "api_error" | "server_error" | "UNAVAILABLE" | "INTERNAL" => {
            ErrorKind::Unavailable
        }
        _ => return None,
    })
}

/// The error message in a body.
pub(crate) fn said(body: &[u8]) -> String {
    Refusal::parse(body).message.chars().take(super::MAX_SAID).collect()
}

/// The message at the first of the places where vendors put it; empty when there is none.
fn message(json: &Value) -> &str {
    let places = ["/error/message", "/message", "/detail/message", "/detail", "/err_msg", "/error"];
    places.iter().find_map(|place| json.pointer(place)?.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_codes_tell_apart_what_one_status_stands_for() {
        let google = json!([{ "error": { "code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
            "details": [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID" }] } }]);
        assert_eq!(Refusal::read(&google).kind(StatusCode::BAD_REQUEST), ErrorKind::Unauthorized);
        let quota = json!({ "error": { "message": "You exceeded your current quota.", "type": "insufficient_quota",
            "code": "insufficient_quota" } });
        assert_eq!(Refusal::read(&quota).kind(StatusCode::TOO_MANY_REQUESTS), ErrorKind::Unauthorized);
        let key = json!({ "error": { "message": "?", "type": "invalid_request_error", "code": null } });
        assert_eq!(Refusal::read(&key).kind(StatusCode::UNAUTHORIZED), ErrorKind::Unauthorized);
        assert_eq!(Refusal::read(&key).kind(StatusCode::BAD_REQUEST), ErrorKind::Invalid);
        let vllm =
            json!({ "object": "error", "message": "too long", "type": "BadRequestError", "code": 400 });
        assert_eq!(Refusal::read(&vllm).code, Some(ErrorKind::Invalid));
        assert_eq!(Refusal::read(&json!({ "error": "busy" })).message, "busy");
        let wait =
            json!({ "error": { "status": "RESOURCE_EXHAUSTED", "details": [{ "retryDelay": "17s" }] } });
        assert_eq!(Refusal::read(&wait).wait, Some(Duration::from_secs(17)));
        let days = json!({ "error": { "details": [{ "retryDelay": "604800s" }] } });
        assert_eq!(Refusal::read(&days).wait, Some(Duration::from_hours(1)), "nobody means that");
    }

    proptest! {
        #[test]
        fn any_body_is_taken(body in crate::remote::testing::json_like(&["error", "code", "details", "retryDelay"])) {
            let _ = Refusal::parse(body.as_bytes());
        }
    }
}
