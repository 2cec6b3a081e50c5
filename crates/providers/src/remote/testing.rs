//! A server whose every byte is scripted, and tests that every engine over HTTP must survive.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_core::{
    BoxFuture, ChatDelta, ChatRequest, ErrorKind, Llm, Message, RateLimit, RateLimits, Requester, Result,
    Role, lock,
};
use futures_util::{FutureExt, StreamExt};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::Bounds;

/// No request of these tests takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What will be told to `limits` last.
pub(crate) fn latest(limits: &RateLimits) -> Arc<Mutex<Option<RateLimit>>> {
    let latest = Arc::<Mutex<Option<RateLimit>>>::default();
    let told = Arc::clone(&latest);
    limits.listen(move |limit| *lock(&told) = Some(limit));
    latest
}

/// A step of a scripted answer. The connection is closed after the last step.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends these bytes in one write.
    Send(Vec<u8>),
    /// Sends nothing more, but keeps the connection open.
    Hang,
    /// Resets the connection instead of closing it.
    Reset,
}

/// A request as the server received it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The first line and the headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The body as JSON; null if it is not JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A local server that answers every request according to a script.
pub(crate) struct Server {
    /// The server's address, `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts a server; `script` makes the answer to each request.
    pub(crate) async fn start(script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (requests, script) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::new(script));
        let heard = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (script, heard) = (Arc::clone(&script), Arc::clone(&heard));
                tokio::spawn(async move {
                    let mut socket = socket;
                    let Some(request) = read(&mut socket).await else { return };
                    let steps = script(&request);
                    heard.lock().expect("whole").push(request);
                    answer(socket, steps).await;
                });
            }
        });
        Self { url, requests, task }
    }

    /// Starts a server that always sends these bytes.
    pub(crate) async fn sending(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_| vec![Step::Send(bytes.clone())]).await
    }

    /// The received requests, oldest first.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("whole").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(socket: &mut TcpStream) -> Option<Request> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
    loop {
        match socket.read(&mut buffer).await {
            Ok(read @ 1..) => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let body = &bytes[end + 4..];
        if body.len() >= length.unwrap_or(0) {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            return Some(Request { head, body: body.to_vec() });
        }
    }
}

async fn answer(mut socket: TcpStream, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                if socket.write_all(&bytes).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            Step::Hang => std::future::pending().await,
            Step::Reset => {
                let _ = socket.set_zero_linger();
                return;
            }
        }
    }
    let _ = socket.shutdown().await;
}

/// An answer with these headers, each with its line end, and this body.
pub(crate) fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}

/// A complete answer with a stream of server-sent events.
pub(crate) fn events(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// The same with unnamed events with these data.
pub(crate) fn data_events(chunks: &[&str]) -> Vec<u8> {
    let mut body = String::new();
    for chunk in chunks {
        body.extend(["data: ", chunk, "\n\n"]);
    }
    events(&body)
}

/// Asks for a completion as a call would; an error if it failed.
pub(crate) async fn converse(engine: &dyn Llm) -> Result<Vec<ChatDelta>> {
    let messages = vec![Message::new(Role::System, "Be brief."), Message::new(Role::User, "Hello?")];
    let pieces: Vec<_> = engine.chat(ChatRequest::new(Requester::local(), messages)).collect().await;
    let ends = pieces.iter().filter(|piece| matches!(piece, Err(_) | Ok(ChatDelta::Done { .. }))).count();
    assert!(
        ends == 1 && pieces.last().is_some_and(|p| matches!(p, Err(_) | Ok(ChatDelta::Done { .. }))),
        "{pieces:?}"
    );
    pieces.into_iter().collect()
}

/// Sends one request with an engine: to the server at this URL, with these bounds.
pub(crate) trait Ask: Fn(String, Bounds) -> BoxFuture<'static, Result<()>> {}
impl<F: Fn(String, Bounds) -> BoxFuture<'static, Result<()>>> Ask for F {}

/// The same for the language model that `make` makes.
pub(crate) fn asking<E: Llm + 'static>(make: impl Fn(String, Bounds) -> E) -> impl Ask {
    move |url, bounds| {
        let engine = make(url, bounds);
        async move { converse(&engine).await.map(drop) }.boxed()
    }
}

fn short() -> Bounds {
    let short = Duration::from_millis(50);
    Bounds { connect: short, first: short, between: short }
}

/// An engine, and the server it is tested with.
struct Trial<A> {
    ask: A,
    server: Server,
    answer: Arc<Mutex<Vec<Step>>>,
}

impl<A: Ask> Trial<A> {
    async fn new(ask: A) -> Self {
        let answer = Arc::<Mutex<Vec<Step>>>::default();
        let steps = Arc::clone(&answer);
        let server = Server::start(move |_| steps.lock().expect("whole").clone()).await;
        Self { ask, server, answer }
    }

    /// The result when the server answers like this.
    async fn outcome(&self, answer: Vec<Step>, bounds: Bounds) -> Result<()> {
        *self.answer.lock().expect("whole") = answer;
        self.asked(&self.server.url, bounds).await
    }

    async fn asked(&self, url: &str, bounds: Bounds) -> Result<()> {
        tokio::time::timeout(PATIENCE, (self.ask)(url.to_owned(), bounds)).await.expect("never hangs")
    }

    async fn kind(&self, answer: Vec<Step>, bounds: Bounds) -> Option<ErrorKind> {
        self.outcome(answer, bounds).await.err().map(|error| error.kind())
    }

    async fn refusals(&self) {
        let cases = [
            ("401 Unauthorized", ErrorKind::Unauthorized),
            ("404 Not Found", ErrorKind::NotFound),
            ("422 Unprocessable Entity", ErrorKind::Invalid),
            ("429 Too Many Requests", ErrorKind::RateLimited),
            ("500 Internal Server Error", ErrorKind::Unavailable),
            ("503 Service Unavailable", ErrorKind::Unavailable),
            ("307 Temporary Redirect", ErrorKind::Unavailable),
        ];
        for (status, kind) in cases {
            let headers = "retry-after: 7\r\nlocation: http://127.0.0.1:9/\r\n";
            let answer = vec![Step::Send(response(status, headers, "<html>no</html>"))];
            let error = self.outcome(answer, Bounds::default()).await.expect_err(status);
            assert_eq!((error.kind(), error.retry_after()), (kind, Some(Duration::from_secs(7))), "{error}");
            assert!(error.to_string().contains(&status[..3]), "{error}");
        }
    }

    async fn nobody(&self) {
        for url in ["http://127.0.0.1:9", "http://name.invalid"] {
            let error = self.asked(url, Bounds::default()).await.expect_err("nobody there");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains("base_url"), "says what to look at: {error}");
        }
    }
}

/// Whatever happens to the connection, an engine returns an answer or an error of the right kind in time. `whole` is a
/// short answer that it understands.
pub(crate) async fn survives(ask: impl Ask, whole: &[u8]) {
    let trial = Trial::new(ask).await;
    let patient = Bounds::default();
    let send = |bytes: &[u8]| Step::Send(bytes.to_vec());
    assert_eq!(trial.kind(vec![send(whole)], patient).await, None, "the whole answer is understood");
    let bytes: Vec<Step> = whole.iter().map(|byte| send(&[*byte])).collect();
    assert_eq!(trial.kind(bytes, patient).await, None, "so it is byte by byte");
    for cut in 0..whole.len() {
        let begun = send(&whole[..cut]);
        for steps in [vec![begun.clone()], vec![begun, Step::Reset]] {
            let failed = trial.kind(steps, patient).await;
            let known = [None, Some(ErrorKind::Unavailable), Some(ErrorKind::Protocol)];
            assert!(known.contains(&failed), "cut after {cut} bytes: {failed:?}");
        }
    }
    let body = whole.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
    for begun in [&whole[..0], &whole[..body / 2], &whole[..body], &whole[..body + 20]] {
        let stalled = trial.kind(vec![send(begun), Step::Hang], short()).await;
        assert_eq!(stalled, Some(ErrorKind::Timeout), "nothing after {} bytes", begun.len());
    }
    let mut mangled = whole.to_vec();
    mangled[body + 5..].iter_mut().step_by(7).for_each(|byte| *byte = 0xff);
    assert_ne!(trial.kind(vec![send(&mangled)], patient).await, Some(ErrorKind::Timeout));
    let other = vec![send(b"SSH-2.0-OpenSSH_9.6\r\n")];
    assert_eq!(trial.kind(other, patient).await, Some(ErrorKind::Unavailable));
    trial.refusals().await;
    trial.nobody().await;
}

/// Tests an engine with wrong streams of events over a good connection.
pub(crate) async fn survives_events(ask: impl Ask) {
    let trial = Trial::new(ask).await;
    let endless = events(&format!("data: {}", "x".repeat(2 << 20)));
    let html = response("200 OK", "content-type: text/html\r\n", "<html>Welcome</html>");
    let packed = "content-type: text/event-stream\r\ncontent-encoding: gzip\r\n";
    let cases = [
        (endless, "endless"),
        (events("data: {nonsense\n\n"), "JSON"),
        (events("data: [1, 2]\n\n"), "JSON"),
        (html, "text/html"),
        (response("200 OK", packed, "\u{1f}\u{8b}\u{8}"), "gzip"),
    ];
    for (bytes, words) in cases {
        let error = trial.outcome(vec![Step::Send(bytes)], Bounds::default()).await.expect_err(words);
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let silent = vec![Step::Send(events(": hello\n\n"))];
    assert_eq!(trial.kind(silent, Bounds::default()).await, Some(ErrorKind::Unavailable));
}

/// Texts that look like JSON with these keys: valid, cut or broken.
pub(crate) fn json_like(keys: &'static [&'static str]) -> impl Strategy<Value = String> {
    use serde_json::{Value, json};
    let word = prop::sample::select(keys);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        (0_u64..4).prop_map(|value| json!(value)),
        "\\PC{0,8}".prop_map(|value| json!(value)),
        word.clone().prop_map(|value| json!(value)),
    ];
    let tree = leaf.prop_recursive(6, 48, 4, move |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array);
        let fields = prop::collection::vec((word.clone(), inner), 0..6);
        let object = fields.prop_map(|fields| fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
        prop_oneof![list, object]
    });
    let cut = (tree.clone(), any::<prop::sample::Index>()).prop_map(|(value, at)| {
        let text = value.to_string();
        let at = at.index(text.len() + 1);
        text[..text.floor_char_boundary(at)].to_owned()
    });
    prop_oneof![8 => tree.prop_map(|value| value.to_string()), 1 => cut, 1 => "\\PC{0,40}"]
}
