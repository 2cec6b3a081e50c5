//! Servers behind a proxy: what the proxy says counts if it is trusted, and what clients claim counts for less.

use std::sync::Arc;

use antiphon_agent::Agent;
use antiphon_desk::Keys;
use antiphon_server::settings::Settings;
use antiphon_stack::config::Network;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::memories::AskedFor;
use crate::support::tools::until;
use crate::support::{Server, agent, engines};

/// The name by which browsers know the server.
const NAME: &str = "voice.example.com";
/// The subprotocols with which the talk page connects.
const SUBPROTOCOLS: &str = "realtime, openai-insecure-api-key.k1";

/// The status with which a WebSocket is answered.
async fn status(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> u16 {
    let mut request = server.socket(path).into_client_request().expect("an address");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a header"));
    }
    match connect_async(request).await {
        Ok(_) => 101,
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

/// A server with a key, behind a proxy on this machine that it trusts, or does not.
fn keyed(trusted: bool) -> Server {
    let trusted_proxies =
        trusted.then(|| Network::parse("127.0.0.1").expect("an address")).into_iter().collect();
    Server::start(Settings { keys: Keys::new(["k1"]), trusted_proxies, ..Settings::default() })
}

#[tokio::test]
async fn the_talk_page_works_behind_a_proxy_and_for_no_other_site() {
    for trusted in [false, true] {
        let server = keyed(trusted);
        let own = server.address.to_string();
        for (host, origin, expected) in [
            (NAME, "https://voice.example.com", 101),
            ("voice.example.com:443", "https://voice.example.com", 101),
            (&own, "https://voice.example.com", if trusted { 101 } else { 403 }),
            (NAME, "https://evil.example", 403),
            ("voice.example.com:443", "https://evil.example", 403),
            (&own, "https://evil.example", 403),
            (NAME, "https://voice.example.com:8443", 403),
        ] {
            // A browser cannot set headers of a WebSocket, so the page sends the key as a subprotocol.
            for key in [("authorization", "Bearer k1"), ("sec-websocket-protocol", SUBPROTOCOLS)] {
                let headers = [
                    key,
                    ("host", host),
                    ("origin", origin),
                    ("x-forwarded-host", NAME),
                    ("x-forwarded-proto", "https"),
                ];
                let answered = status(&server, "/talk/ws", &headers).await;
                assert_eq!(answered, expected, "trusted: {trusted}, {host}, {origin}, {key:?}");
            }
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn a_server_without_keys_is_not_opened_by_a_forwarded_name() {
    let proxies = vec![Network::parse("127.0.0.1").expect("an address")];
    let server = Server::start(Settings { trusted_proxies: proxies, ..Settings::default() });
    assert_eq!(status(&server, "/talk/ws", &[]).await, 101);
    assert_eq!(status(&server, "/talk/ws", &[("x-forwarded-host", NAME)]).await, 403);
    server.stop().await;
}

#[tokio::test]
async fn a_name_is_believed_with_a_key_or_from_this_machine_alone() {
    let memories = Arc::<AskedFor>::default();
    let agent = || Agent { memories: Some(memories.clone()), ..agent() };
    let keyed = Settings { keys: Keys::new(["k1"]), ..Settings::default() };
    let (open, keyed) = (
        Server::start_with(Settings::default(), agent(), engines()),
        Server::start_with(keyed, agent(), engines()),
    );
    let forwarded = ("x-forwarded-for", "203.0.113.9");
    let key = ("authorization", "Bearer k1");
    for (server, path, headers) in [
        (&open, "/talk/ws?person=proxied", &[forwarded][..]),
        (&open, "/talk/ws?person=proxied", &[("forwarded", "for=203.0.113.9")]),
        (&open, "/v1/realtime", &[("openai-safety-identifier", "proxied"), forwarded]),
        (&open, "/talk/ws?person=local", &[]),
        (&open, "/v1/realtime", &[("openai-safety-identifier", "local")]),
        (&keyed, "/talk/ws?person=keyed", &[key, forwarded]),
    ] {
        assert_eq!(status(server, path, headers).await, 101, "{path} {headers:?}");
        until("the call is over", || server.app.desk.calls.active() == 0).await;
    }
    let mint = reqwest::Client::new().post(open.url("/v1/realtime/client_secrets"));
    let mint = mint.header("openai-safety-identifier", "proxied").header(forwarded.0, forwarded.1);
    let made: Value = mint.json(&json!({})).send().await.expect("answers").json().await.expect("JSON");
    let secret = format!("Bearer {}", made["value"].as_str().expect("a client secret"));
    assert_eq!(status(&open, "/v1/realtime", &[("authorization", &secret)]).await, 101);
    until("the call is over", || open.app.desk.calls.active() == 0).await;
    assert_eq!(memories.persons(), ["local", "local", "keyed"]);
    open.stop().await;
    keyed.stop().await;
}
