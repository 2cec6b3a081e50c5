//! Who may open the media socket of a telephone company, and who is believed.

use antiphon_desk::{Entrant, Unauthorized};
use axum::http::{HeaderMap, Uri};

use super::media_socket::Dialect;
use super::settings::TelephonySettings;
use crate::Doors;

/// A telephone company: its dialect, and how its requests are checked.
pub(super) trait Vendor: Dialect {
    /// Lets this request open the media socket, or says why not.
    fn check(doors: &Doors, uri: &Uri, headers: &HeaderMap) -> Result<Entrant, Unauthorized>;

    /// Whether it is checked that the vendor itself opens the socket. Only then is it believed who calls: anybody
    /// else could give any number, and hear what that person told.
    fn is_verified(telephony: &TelephonySettings) -> bool;
}

/// Lets a request in that the vendor `signed`; `None` when that cannot be checked because no key of the vendor's is
/// configured. Whoever has one of the server's own keys, such as a load test, may come in, too.
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
