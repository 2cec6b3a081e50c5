//! Who may use the server: holders of an API key, or anybody on this machine when no keys are configured.
//!
//! Without keys the server listens on loopback only. That alone does not keep strangers out, because every page in
//! the person's browser can reach loopback. So a server without keys refuses requests whose `Origin` is not this
//! machine. It also refuses those whose `Host` is not: a page can make the name of its own site resolve to loopback
//! (DNS rebinding), and its requests then carry no `Origin`.

use std::net::IpAddr;

use antiphon_core::KeyId;
use http::{HeaderMap, Uri, header};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// How browsers, which cannot set headers on a WebSocket, send their key: as a subprotocol with this prefix.
const SUBPROTOCOL_PREFIX: &str = "openai-insecure-api-key.";

/// Whoever was admitted: what tells clients apart, without any secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entrant {
    /// Stands for the key that was presented. `None` where no key is needed, or where the door checked something
    /// else, such as a signature.
    pub key: Option<KeyId>,
    /// The address from which the request came, if the door knows it.
    pub address: Option<IpAddr>,
    /// Whether the request comes from this machine itself, and not through a proxy.
    pub is_local: bool,
}

impl Entrant {
    /// Whether the person whom this client names is believed: with a key, and without any only from this machine. Through a proxy
    /// anybody may come, and would hear what the person of that name has told.
    pub fn may_name_a_person(&self) -> bool {
        self.key.is_some() || self.is_local
    }
}

/// The accepted keys as SHA-256 digests, so that the keys themselves can be neither logged nor leaked.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    digests: Vec<[u8; 32]>,
}

impl Keys {
    /// Accepts these keys. If there are none, accepts everybody on this machine.
    pub fn new<K: AsRef<str>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self { digests: keys.into_iter().map(|key| digest(key.as_ref())).collect() }
    }

    /// Whether no key is needed.
    pub fn is_open(&self) -> bool {
        self.digests.is_empty()
    }

    /// Whether there is more than one key.
    pub fn are_several(&self) -> bool {
        self.digests.len() > 1
    }

    /// Checks a request by its headers: `Authorization: Bearer KEY`, `api-key: KEY` (Azure), or the WebSocket
    /// subprotocol `openai-insecure-api-key.KEY`.
    pub fn check(&self, headers: &HeaderMap) -> Result<Entrant, Unauthorized> {
        if self.is_open() {
            let let_in = is_local_or_no_origin(headers);
            return if let_in { Ok(Entrant::default()) } else { Err(Unauthorized::ForeignOrigin) };
        }
        let key = presented_key(headers).ok_or(Unauthorized::NoKey)?;
        let key = self.id_of(key).ok_or(Unauthorized::WrongKey)?;
        Ok(Entrant { key: Some(key), ..Entrant::default() })
    }

    /// Refuses requests to another name than this machine's on an open server. The webhooks of telephone companies are not asked
    /// this: they come by the public name of a proxy, and no browser sends them.
    pub fn check_host(&self, headers: &HeaderMap) -> Result<(), Unauthorized> {
        let local = !self.is_open() || is_local_or_no_host(headers);
        if local { Ok(()) } else { Err(Unauthorized::ForeignOrigin) }
    }

    /// The id of this key: its place in the configuration, from 1. The comparison takes the same time whichever key
    /// matches and whether any does, so that its duration reveals nothing.
    fn id_of(&self, key: &str) -> Option<KeyId> {
        let presented = digest(key);
        let mut place = 0_u64;
        for (at, known) in (1..).zip(&self.digests) {
            place.conditional_assign(&at, known.ct_eq(&presented));
        }
        (place > 0).then(|| KeyId::new(format!("key-{place}")))
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// The key of a request, from whichever header holds it.
pub fn presented_key(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    let azure = || text(header::HeaderName::from_static("api-key"));
    let subprotocol = || {
        let all = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
        all.filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .find_map(|protocol| protocol.trim().strip_prefix(SUBPROTOCOL_PREFIX))
    };
    bearer.or_else(azure).or_else(subprotocol).filter(|key| !key.is_empty())
}

/// Whether a browser's `Origin` is a page that this machine serves.
pub fn is_local_origin(origin: &str) -> bool {
    let uri = origin.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn is_local_or_no_origin(headers: &HeaderMap) -> bool {
    headers.get(header::ORIGIN).is_none_or(|origin| origin.to_str().is_ok_and(is_local_origin))
}

fn is_local_or_no_host(headers: &HeaderMap) -> bool {
    headers
        .get(header::HOST)
        .is_none_or(|host| host.to_str().is_ok_and(|host| is_local_origin(&format!("http://{host}"))))
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthorized {
    /// The request carries no key.
    #[error("no API key: send `Authorization: Bearer KEY` with one of the keys in [server] api_keys")]
    NoKey,
    /// The request's key is not one of those configured.
    #[error("the API key is not one of those in [server] api_keys")]
    WrongKey,
    /// The request has neither the telephone company's signature nor a key.
    #[error(
        "the request is neither signed as the keys in [telephony] say nor has it one of [server] api_keys"
    )]
    Signature,
    /// A page of another site tries to use a server that requires no key.
    #[error(
        "this server is open to pages of this machine only, by the name localhost or its loopback address; set [server] api_keys to \
         let others use it"
    )]
    ForeignOrigin,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_key_is_found_in_each_of_the_three_places() {
        let auth = Keys::new(["other", "sk-1"]);
        for pair in [
            ("authorization", "Bearer sk-1"),
            ("authorization", "bearer sk-1"),
            ("api-key", "sk-1"),
            ("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk-1, openai-beta.v1"),
        ] {
            let let_in = auth.check(&headers(&[pair]));
            assert_eq!(let_in, Ok(Entrant { key: Some("key-2".into()), ..Entrant::default() }), "{pair:?}");
        }
    }

    #[test]
    fn missing_and_wrong_keys_are_told_apart() {
        let auth = Keys::new(["sk-1"]);
        assert_eq!(auth.check(&headers(&[])), Err(Unauthorized::NoKey));
        assert_eq!(auth.check(&headers(&[("authorization", "Bearer ")])), Err(Unauthorized::NoKey));
        assert_eq!(auth.check(&headers(&[("authorization", "Basic sk-1")])), Err(Unauthorized::NoKey));
        assert_eq!(auth.check(&headers(&[("authorization", "Bearer sk-2")])), Err(Unauthorized::WrongKey));
    }

    #[test]
    fn an_open_server_refuses_pages_from_elsewhere() {
        let auth = Keys::default();
        for origin in ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:7700"] {
            assert_eq!(auth.check(&headers(&[("origin", origin)])), Ok(Entrant::default()), "{origin}");
        }
        for origin in ["https://example.com", "null", "http://localhost.example.com", "http://10.0.0.1"] {
            assert_eq!(
                auth.check(&headers(&[("origin", origin)])),
                Err(Unauthorized::ForeignOrigin),
                "{origin}"
            );
        }
        assert_eq!(auth.check(&headers(&[])), Ok(Entrant::default()));
    }

    #[test]
    fn an_open_server_answers_to_names_of_this_machine_only() {
        let auth = Keys::default();
        for host in ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080"] {
            assert_eq!(auth.check_host(&headers(&[("host", host)])), Ok(()), "{host}");
        }
        for host in ["rebound.example.com", "localhost.example.com:8080", "10.0.0.1", ""] {
            assert_eq!(
                auth.check_host(&headers(&[("host", host)])),
                Err(Unauthorized::ForeignOrigin),
                "{host}"
            );
        }
        assert_eq!(Keys::new(["sk-1"]).check_host(&headers(&[("host", "example.com")])), Ok(()));
    }
}
