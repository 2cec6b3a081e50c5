//! Errors as clients see them: in OpenAI's format under `/v1`, as RFC 9457 problem details elsewhere.

use std::borrow::Cow;
use std::time::Duration;

use antiphon_core::{Error, ErrorKind};
use antiphon_desk::{Busy, Unauthorized};
use antiphon_transports::Refusal;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error with its HTTP status. As a response it has OpenAI's format: `{"error": {message, type, param, code}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    param: Option<Cow<'static, str>>,
    code: Option<&'static str>,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// An error that says what was wrong, where, and what to do.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None, retry_after: None }
    }

    /// An error with status 400 about the whole request.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// An error with status 400 about one parameter.
    pub fn invalid_param(param: &'static str, message: impl Into<String>) -> Self {
        Self::invalid(message).param(param)
    }

    /// Adds the name of the parameter that is wrong.
    #[must_use]
    pub fn param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Adds a code for programs.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The body in OpenAI's format. Errors within a stream have the same format.
    pub fn body(&self) -> serde_json::Value {
        json!({ "error": {
            "message": self.message,
            "type": self.kind(),
            "param": self.param,
            "code": self.code,
        }})
    }

    /// The type of error as OpenAI names it.
    fn kind(&self) -> &'static str {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        }
    }

    fn with_headers(self, mut response: Response) -> Response {
        *response.status_mut() = self.status;
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up, because a client that returns too early is refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let response = Json(self.body()).into_response();
        self.with_headers(response)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let (status, code) = match error.kind() {
            ErrorKind::Invalid => (StatusCode::BAD_REQUEST, None),
            ErrorKind::NotFound => (StatusCode::NOT_FOUND, Some("not_found")),
            // The client's own key was accepted; the provider has refused the server's key.
            ErrorKind::Unauthorized => (StatusCode::BAD_GATEWAY, Some("provider_unauthorized")),
            ErrorKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, Some("rate_limit_exceeded")),
            ErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, Some("timeout")),
            ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, Some("unavailable")),
            ErrorKind::Protocol => (StatusCode::BAD_GATEWAY, Some("provider_protocol_error")),
            ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, Some("internal_error")),
        };
        let retry_after = error.retry_after();
        Self { status, message: error.to_string(), param: None, code, retry_after }
    }
}

impl From<Unauthorized> for ApiError {
    fn from(error: Unauthorized) -> Self {
        match error {
            Unauthorized::Signature => {
                Self::new(StatusCode::FORBIDDEN, error.to_string()).code("invalid_signature")
            }
            Unauthorized::NoKey | Unauthorized::WrongKey => {
                Self::new(StatusCode::UNAUTHORIZED, error.to_string()).code("invalid_api_key")
            }
            Unauthorized::ForeignOrigin => {
                Self::new(StatusCode::FORBIDDEN, error.to_string()).code("origin_not_allowed")
            }
        }
    }
}

impl From<Busy> for ApiError {
    fn from(busy: Busy) -> Self {
        Error::from(busy).into()
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Busy(busy) => busy.into(),
            Refusal::Unauthorized(error) => error.into(),
            Refusal::Request { status, message, param, code } => {
                Self { param: param.map(Cow::Borrowed), code, ..Self::new(status, message) }
            }
        }
    }
}

/// The same error as RFC 9457 problem details, for everything outside `/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(pub ApiError);

impl<E: Into<ApiError>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.0.status.canonical_reason(),
            "status": self.0.status.as_u16(),
            "detail": self.0.message,
            "code": self.0.code,
        });
        let media_type = [(header::CONTENT_TYPE, "application/problem+json")];
        let response = (media_type, body.to_string()).into_response();
        self.0.with_headers(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_its_status() {
        for (kind, status) in [
            (ErrorKind::Invalid, 400),
            (ErrorKind::NotFound, 404),
            (ErrorKind::Unauthorized, 502),
            (ErrorKind::RateLimited, 429),
            (ErrorKind::Timeout, 504),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::Protocol, 502),
            (ErrorKind::Internal, 500),
        ] {
            assert_eq!(ApiError::from(Error::new(kind, "m")).status().as_u16(), status, "{kind:?}");
        }
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        let error = Error::new(ErrorKind::RateLimited, "m").with_retry_after(Duration::from_millis(1_200));
        assert_eq!(ApiError::from(error).into_response().headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn problems_carry_their_media_type() {
        let response = Problem(ApiError::invalid("bad")).into_response();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.status(), 400);
    }
}
