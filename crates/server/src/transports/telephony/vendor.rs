//! Who may open the media socket of a telephone company, and who is believed.

use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};

use super::media_socket::Dialect;
use crate::app::App;
use crate::http::Telephony;
use crate::http::auth::Unauthorized;
use crate::http::error::Problem;

/// A telephone company: its dialect, and how its requests are checked.
pub(super) trait Vendor: Dialect {
    /// Why this request may not open the media socket, if so.
    fn refused(app: &App, uri: &Uri, headers: &HeaderMap) -> Option<Response>;

    /// Whether it is checked that the vendor itself opens the socket. Only then is it believed who calls: anybody
    /// else could give any number, and hear what that person told.
    fn is_verified(telephony: &Telephony) -> bool;
}

/// Why a request is not let in. `signed` says whether the vendor signed it; `None` when that cannot be checked
/// because no key of the vendor's is configured. Whoever has one of the server's own keys, such as a load test, may
/// come in, too.
pub(super) fn refused_unless(signed: Option<bool>, app: &App, headers: &HeaderMap) -> Option<Response> {
    if signed == Some(true) {
        return None;
    }
    let refused = match app.http.auth.check(headers) {
        Ok(()) if app.http.auth.is_open() && signed.is_some() => Unauthorized::Signature,
        Ok(()) => return None,
        Err(foreign @ Unauthorized::ForeignOrigin) => foreign,
        Err(_) => Unauthorized::Signature,
    };
    Some(Problem::from(refused).into_response())
}
