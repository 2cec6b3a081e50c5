//! Why a door turns a request away. What the client reads of it is up to the server, which knows the shape of its errors.

use std::borrow::Cow;

use antiphon_desk::{Busy, Unauthorized};
use axum::Extension;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Why a door turns a request away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no line for a call now.
    Busy(Busy),
    /// The request does not show that it may come in.
    Unauthorized(Unauthorized),
    /// The request asks for what is not to be had, or cannot be understood.
    Request {
        /// The HTTP status.
        status: StatusCode,
        /// What is wrong and what to do, for people.
        message: Cow<'static, str>,
        /// The parameter that is wrong, if it is one.
        param: Option<&'static str>,
        /// What is wrong, for programs.
        code: Option<&'static str>,
    },
}

impl Refusal {
    /// A refusal of what the request asks for.
    pub(crate) fn request(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Request { status, message: message.into(), param: None, code: None }
    }

    /// The same with a code that programs understand.
    pub(crate) fn coded(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Request { status, message: message.into(), param: None, code: Some(code) }
    }

    /// 400 for one parameter.
    pub(crate) fn parameter(name: &'static str, message: String) -> Self {
        Self::Request {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            param: Some(name),
            code: None,
        }
    }

    /// Takes the refusal that a door's response carries, if it is one.
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

/// An empty response that carries the refusal: whoever serves the doors makes the client's answer of it. Where that is
/// forgotten, the status says that the server is wrong and not the client.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, Extension(self)).into_response()
    }
}
