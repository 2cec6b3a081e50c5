//! Requests that come through a proxy: who sent them, and by which name the server was reached.
//!
//! A proxy says so in headers that anybody can send. They are believed from the proxies in `[server] trusted_proxies` alone. From
//! everybody else they are removed, so that nothing behind this layer can believe them by mistake.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use antiphon_stack::config::Network;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// What proxies add to requests. One of them is enough to see that the client is not on this machine, although its proxy may be.
const BY_PROXIES: [HeaderName; 6] = [
    header::FORWARDED,
    header::VIA,
    FORWARDED_FOR,
    FORWARDED_HOST,
    FORWARDED_PROTO,
    HeaderName::from_static("x-real-ip"),
];

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestSource {
    /// The client's address, as a trusted proxy tells it, or else the address that connected.
    pub(super) address: IpAddr,
    /// Whether the client is on this machine, and no proxy stands between.
    pub(super) is_local: bool,
}

/// Adds where a request comes from as an extension ([`RequestSource`]), and makes its `Host` the name by which the server was reached.
pub(super) async fn resolve(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() {
        let source = source(&app.http.trusted_proxies, peer.ip(), request.headers_mut());
        request.extensions_mut().insert(source);
    }
    next.run(request).await
}

/// Where a request from `peer` comes from. Its headers are changed to what may be believed.
fn source(proxies: &[Network], peer: IpAddr, headers: &mut HeaderMap) -> RequestSource {
    let is_proxy = |address: IpAddr| proxies.iter().any(|network| network.contains(address));
    let is_forwarded = BY_PROXIES.iter().any(|name| headers.contains_key(name));
    let is_local = peer.to_canonical().is_loopback() && !is_forwarded;
    if !is_proxy(peer) {
        for name in [FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO] {
            headers.remove(name);
        }
        return RequestSource { address: peer, is_local };
    }
    if let Some(host) = forwarded_host(headers) {
        headers.insert(header::HOST, host);
    }
    match forwarded_proto(headers) {
        Some(proto) => drop(headers.insert(FORWARDED_PROTO, HeaderValue::from_static(proto))),
        None => drop(headers.remove(FORWARDED_PROTO)),
    }
    // Each proxy adds the address that connected to it at the end. The last one that is no proxy of ours is the client's.
    let mut address = peer;
    for hop in forwarded_for(headers).into_iter().rev() {
        let Some(hop) = hop else { break };
        address = hop;
        if !is_proxy(hop) {
            break;
        }
    }
    RequestSource { address, is_local }
}

/// What the last proxy says in a header. Those before it, and the client, may have written something before that.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get_all(name).iter().next_back()?.to_str().ok()?.rsplit(',').next().map(str::trim)
}

/// The scheme by which the client reached the last proxy. Some name that of a WebSocket.
fn forwarded_proto(headers: &HeaderMap) -> Option<&'static str> {
    match last(headers, &FORWARDED_PROTO)?.to_ascii_lowercase().as_str() {
        "https" | "wss" => Some("https"),
        "http" | "ws" => Some("http"),
        _ => None,
    }
}

/// The host that the last proxy names; `None` if it names none that can be one.
fn forwarded_host(headers: &HeaderMap) -> Option<HeaderValue> {
    let host = last(headers, &FORWARDED_HOST)?;
    let is_host = host.parse::<Authority>().is_ok() && !host.contains('@');
    is_host.then(|| HeaderValue::from_str(host).ok()).flatten()
}

/// The addresses through which the request came, the client's first; `None` stands for something else than an address.
fn forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(FORWARDED_FOR).iter();
    lines.flat_map(|line| line.to_str().unwrap_or_default().split(',').map(address)).collect()
}

/// An address, which some proxies write with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bare = text.trim_start_matches('[').trim_end_matches(']').parse().ok();
    bare.or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("valid"));
        }
        headers
    }

    fn proxies() -> Vec<Network> {
        ["127.0.0.1", "10.0.0.0/8"].map(|text| Network::parse(text).expect(text)).into()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn what_a_trusted_proxy_says_counts() {
        for (forwarded, client) in [
            (&[("x-forwarded-for", "203.0.113.9")][..], "203.0.113.9"),
            (&[("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.0.0.7")], "203.0.113.9"),
            (&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9:555")], "203.0.113.9"),
            (&[("x-forwarded-for", "[2001:db8::1]:443")], "2001:db8::1"),
            (&[("x-forwarded-for", "1.1.1.1, unknown, 10.0.0.7")], "10.0.0.7"),
            (&[("x-forwarded-for", "10.0.0.8, 10.0.0.7")], "10.0.0.8"),
            (&[("x-forwarded-proto", "https")], "127.0.0.1"),
        ] {
            let seen = source(&proxies(), ip("127.0.0.1"), &mut headers(forwarded));
            assert_eq!(seen, RequestSource { address: ip(client), is_local: false }, "{forwarded:?}");
        }
        let mut named =
            headers(&[("host", "127.0.0.1:7700"), ("x-forwarded-host", "a.example, b.example:443")]);
        source(&proxies(), ip("10.1.1.1"), &mut named);
        assert_eq!(named["host"], "b.example:443");
        for (said, understood) in [("WSS", Some("https")), ("https, http", Some("http")), ("gopher", None)] {
            let mut headers = HeaderMap::new();
            headers.insert(FORWARDED_PROTO, HeaderValue::from_static(said));
            source(&proxies(), ip("10.1.1.1"), &mut headers);
            let proto = headers.get(FORWARDED_PROTO).and_then(|proto| proto.to_str().ok());
            assert_eq!(proto, understood, "{said}");
        }
        for no_host in ["", "a b", "user@a.example", "a.example/path"] {
            let mut named = headers(&[("host", "c.example"), ("x-forwarded-host", no_host)]);
            source(&proxies(), ip("10.1.1.1"), &mut named);
            assert_eq!(named["host"], "c.example", "{no_host}");
        }
    }

    #[test]
    fn what_anybody_else_says_of_themselves_is_removed() {
        let all = [
            ("host", "127.0.0.1:7700"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-host", "voice.example.com"),
            ("x-forwarded-proto", "https"),
        ];
        for (proxies, peer) in [(proxies(), "203.0.113.9"), (Vec::new(), "127.0.0.1")] {
            let mut headers = headers(&all);
            let seen = source(&proxies, ip(peer), &mut headers);
            assert_eq!(seen, RequestSource { address: ip(peer), is_local: false });
            assert_eq!((headers.len(), &headers["host"]), (1, &HeaderValue::from_static("127.0.0.1:7700")));
        }
    }

    #[test]
    fn only_a_client_on_this_machine_without_a_proxy_is_local() {
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(source(&[], ip(peer), &mut headers(&[("host", "localhost")])).is_local, "{peer}");
            for by_proxy in BY_PROXIES {
                let mut headers = HeaderMap::new();
                headers.insert(by_proxy.clone(), HeaderValue::from_static("127.0.0.1"));
                assert!(!source(&[], ip(peer), &mut headers).is_local, "{peer} {by_proxy}");
            }
        }
        assert!(!source(&[], ip("10.0.0.1"), &mut HeaderMap::new()).is_local);
    }
}
