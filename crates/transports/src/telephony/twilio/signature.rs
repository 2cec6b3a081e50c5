//! Checks that a request comes from Twilio. `X-Twilio-Signature` is the base64 of an HMAC-SHA1 with the account's
//! auth token as the key, over the URL that Twilio was given and the sorted form fields after it.

use std::collections::BTreeMap;

use antiphon_desk::{Entrant, Unauthorized};
use axum::http::{HeaderMap, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;

use crate::Doors;
use crate::telephony::vendor::let_in_if;

/// Accepts the request if it is signed or has one of the server's keys; otherwise says why not.
pub(super) fn check(
    doors: &Doors,
    web_socket: bool,
    uri: &Uri,
    headers: &HeaderMap,
    fields: &BTreeMap<String, String>,
) -> Result<Entrant, Unauthorized> {
    let telephony = &doors.telephony;
    let signed = telephony.twilio_auth_token.as_ref().map(|token| {
        let signature = headers.get("x-twilio-signature").and_then(|value| value.to_str().ok());
        let host = telephony.host(headers).unwrap_or_default();
        let scheme = match (web_socket, telephony.is_plain(&host)) {
            (true, true) => "ws",
            (true, false) => "wss",
            (false, true) => "http",
            (false, false) => "https",
        };
        signature.is_some_and(|signature| verify(token, scheme, &host, uri, fields, signature))
    });
    let_in_if(signed, doors, headers)
}

fn verify(
    token: &str,
    scheme: &str,
    host: &str,
    uri: &Uri,
    fields: &BTreeMap<String, String>,
    signature: &str,
) -> bool {
    let Ok(signature) = STANDARD.decode(signature) else { return false };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
    // Whether Twilio includes the port in the signature depends on the URL that it was given.
    [host.to_owned(), bare.to_owned(), format!("{bare}:443")].iter().any(|host| {
        let mut signed = format!("{scheme}://{host}{path}");
        for (name, value) in fields {
            signed.push_str(name);
            signed.push_str(value);
        }
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(token.as_bytes()) else { return false };
        mac.update(signed.as_bytes());
        mac.verify_slice(&signature).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example from Twilio's documentation of webhook security.
    #[test]
    fn twilios_own_example_is_let_in_and_a_changed_one_is_not() {
        let mut fields: BTreeMap<String, String> = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let uri: Uri = "/myapp.php?foo=1&bar=2".parse().expect("a path");
        let signature = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        let check = |fields: &BTreeMap<String, String>| {
            verify("12345", "https", "mycompany.com", &uri, fields, signature)
        };
        assert!(check(&fields));
        fields.insert("Digits".to_owned(), "1235".to_owned());
        assert!(!check(&fields));
        assert!(!verify("12345", "https", "mycompany.com", &uri, &fields, "?"));
    }
}
