//! Why a door turns a request away. The server decides how the client reads it, because it knows the format of
//! its errors.

use std::borrow::Cow;

use antiphon_desk::{Busy, Unauthorized};
use axum::Extension;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Why a door turns a request away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no place for another call now.
    Busy(Busy),
    /// The request lacks valid credentials.
    Unauthorized(Unauthorized),
    /// The request is invalid, or asks for something that does not exist.
    Request {
        /// The HTTP status of the response.
        status: StatusCode,
        /// What is wrong and what to do, for people.
        message: Cow<'static, str>,
        /// The parameter that is wrong, if it is one.
        param: Option<&'static str>,
        /// A code for what is wrong, for programs.
        code: Option<&'static str>,
    },
}

impl Refusal {
    /// A refusal of an invalid request.
    pub(crate) fn request(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Request { status, message: message.into(), param: None, code: None }
    }

    /// A refusal of an invalid request, with a code that programs understand.
    pub(crate) fn coded(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Request { status, message: message.into(), param: None, code: Some(code) }
    }

    /// A refusal with status 400 because of one parameter.
    pub(crate) fn parameter(name: &'static str, message: String) -> Self {
        Self::Request {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            param: Some(name),
            code: None,
        }
    }

    /// Takes the refusal out of a door's response, if it carries one.
    pub fn of(response: &mut Response) -> Option<Self> {
        response.extensions_mut().remove()
    }
}

impl From<Busy> for Refusal {
    fn from(busy: Busy) -> Self {
        Self::Busy(busy)
    }
}

impl From<Unauthorized> for Refusal {
    fn from(unauthorized: Unauthorized) -> Self {
        Self::Unauthorized(unauthorized)
    }
}

/// An empty response that carries the refusal. The server turns it into the answer that the client reads. If the
/// server forgets to, the status reports a fault of the server and not of the client.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, Extension(self)).into_response()
    }
}
