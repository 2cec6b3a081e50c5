//! How the requests of telephone companies are checked, and whether their statements about the caller are believed.

use antiphon_desk::{Entrant, Unauthorized};
use axum::http::{HeaderMap, Uri};

use super::media_socket::Dialect;
use super::settings::TelephonySettings;
use crate::Doors;

/// A telephone company: its dialect, and how its requests are checked.
pub(super) trait Vendor: Dialect {
    /// Accepts a request to open the media socket, or says why not.
    fn check(doors: &Doors, uri: &Uri, headers: &HeaderMap) -> Result<Entrant, Unauthorized>;

    /// Whether it is verified that the vendor itself opens the socket. Only then is the caller's number believed:
    /// anybody else could state any number, and would hear what that person has told the agent.
    fn is_verified(telephony: &TelephonySettings) -> bool;
}

/// Accepts a request that the vendor has signed. `signed` is `None` when no key of the vendor is configured, so that
/// this cannot be checked. Whoever has one of the server's own keys, such as a load test, is accepted as well.
pub(super) fn let_in_if(
    signed: Option<bool>,
    doors: &Doors,
    headers: &HeaderMap,
) -> Result<Entrant, Unauthorized> {
    if signed == Some(true) {
        return Ok(Entrant::default());
    }
    match doors.desk.keys.check(headers) {
        Ok(_) if doors.desk.keys.is_open() && signed.is_some() => Err(Unauthorized::Signature),
        Ok(entrant) => Ok(entrant),
        Err(foreign @ Unauthorized::ForeignOrigin) => Err(foreign),
        Err(_) => Err(Unauthorized::Signature),
    }
}
