//! Strangers who hold connections and places, and those whom they must not keep waiting.

use antiphon_desk::{Access, Keys};
use antiphon_server::http::routes;
use antiphon_server::settings::{ConnectionBounds, Settings};
use axum::http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Server;
use crate::support::tools::until;

/// A request that anybody may send.
const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

fn keyed(settings: Settings) -> Server {
    Server::start(Settings { keys: Keys::new(["sk-1", "sk-2"]), ..settings })
}

/// A connection on which this was sent.
async fn sent(server: &Server, text: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server.address).await.expect("connects");
    socket.write_all(text.as_bytes()).await.expect("sent");
    socket
}

/// What comes first on a connection: the beginning of an answer, or nothing if it is closed.
async fn beginning(socket: &mut TcpStream) -> String {
    let mut answer = [0; 4_096];
    let read = socket.read(&mut answer).await.unwrap_or_default();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn strangers_who_keep_connections_open_give_way() {
    let connections = ConnectionBounds { in_all: 4, reserve: 1, strangers_each: 4 };
    let server = keyed(Settings { connections, ..Settings::default() });
    let models = "GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-1\r\n\r\n";
    let mut known = sent(&server, models).await;
    assert!(beginning(&mut known).await.starts_with("HTTP/1.1 200"));
    let mut strangers = Vec::new();
    for n in 0..8 {
        let mut stranger = sent(&server, HEALTH).await;
        assert!(beginning(&mut stranger).await.starts_with("HTTP/1.1 200"), "{n}: newcomers are served");
        strangers.push(stranger);
    }
    for stranger in &mut strangers[..5] {
        assert_eq!(beginning(stranger).await, "", "the oldest are closed");
    }
    known.write_all(models.as_bytes()).await.expect("sent");
    assert!(beginning(&mut known).await.starts_with("HTTP/1.1 200"), "whoever has shown a key stays");
}

#[tokio::test]
async fn clients_with_keys_leave_a_reserve_for_health_checks() {
    let connections = ConnectionBounds { in_all: 3, reserve: 1, strangers_each: 3 };
    let server = keyed(Settings { connections, ..Settings::default() });
    let models = "GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-1\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut known = sent(&server, models).await;
        assert!(beginning(&mut known).await.starts_with("HTTP/1.1 200"));
        held.push(known);
    }
    let answer = beginning(&mut sent(&server, models).await).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(beginning(&mut sent(&server, HEALTH).await).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn uploads_that_trickle_take_no_place_from_holders_of_other_keys() {
    let server = keyed(Settings { max_requests: 4, ..Settings::default() });
    let upload = "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-1\r\ncontent-length: 9999\r\n\
                  content-type: multipart/form-data; boundary=b\r\n\r\n--b\r\n";
    let mut trickling = Vec::new();
    for _ in 0..2 {
        trickling.push(sent(&server, upload).await);
    }
    until("two uploads arrive", || server.app.arriving.taken() == 2).await;
    let refused = beginning(&mut sent(&server, upload).await).await;
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("your part"), "{refused}");
    let chat = json!({ "messages": [{ "role": "user", "content": "hello" }] });
    let post =
        reqwest::Client::new().post(server.url("/v1/chat/completions")).bearer_auth("sk-2").json(&chat);
    assert_eq!(post.send().await.expect("an answer").status(), 200);
    drop(trickling);
    until("their places are free", || server.app.arriving.taken() == 0).await;
}

/// Runs in virtual time, which jumps to the next timeout whenever everything waits.
#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_is_ended_with_its_reason() {
    let server = Server::start(Settings::default());
    for (path, media_type) in [
        ("/v1/chat/completions", "application/json"),
        ("/v1/audio/transcriptions", "multipart/form-data; boundary=b"),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 999999\r\ncontent-type: {media_type}\r\n\r\n--b\r\n"
        );
        let (mut answers, mut trickles) = sent(&server, &head).await.into_split();
        let trickling = tokio::spawn(async move {
            while trickles.write_all(b"x").await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            }
        });
        let mut answer = Vec::new();
        // The server closes with bytes unread, which may look like an error here.
        let _ = answers.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("too slowly"), "{path}: {answer}");
        trickling.abort();
    }
}

#[tokio::test]
async fn a_request_without_a_key_is_refused_before_its_body_is_there() {
    let server = keyed(Settings::default());
    let mut asked = 0;
    for route in routes(&server.app) {
        if route.method != Method::POST || route.access != Access::Key {
            continue;
        }
        let path = route.path.replace(['{', '}'], "");
        for key in ["", "authorization: Bearer sk-other\r\n"] {
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{key}content-length: 100000000\r\n\r\n");
            let answer = beginning(&mut sent(&server, &head).await).await;
            assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
            asked += 1;
        }
    }
    assert!(asked > 10, "{asked}");
}

/// As many as call in the same moment, before the server has accepted the first of them.
#[tokio::test(flavor = "current_thread")]
async fn the_system_completes_a_thousand_connections_before_the_server_accepts_them() {
    let server = Server::start(Settings::default());
    // The server's task runs once, and then not before this one waits.
    assert_eq!(reqwest::get(server.url("/healthz")).await.expect("an answer").status(), 200);
    let sockets: Result<Vec<_>, _> = (0..300)
        .map(|_| std::net::TcpStream::connect_timeout(&server.address, std::time::Duration::from_millis(900)))
        .collect();
    assert_eq!(sockets.expect("none is asked to come back later").len(), 300);
}
