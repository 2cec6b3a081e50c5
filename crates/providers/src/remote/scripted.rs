//! Scripted servers for tests of voices, and tests that every voice over HTTP must pass.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_core::{AudioChunk, Error, ErrorKind, Requester, Result, SpeechRequest, Tts, lock};
use futures_util::{StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::Bounds;

/// The key in these tests; it must never appear in an error.
pub(crate) const KEY: &str = "s3cret";

/// The audio in these tests.
pub(crate) const SAMPLES: [i16; 12] = [0, -1, 1, 300, -300, 12_000, -12_000, 32_767, -32_768, 5, 0, 0];

/// A server that is stopped when it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// The requests that it received: heads and bodies.
    pub(crate) fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves each connection in its own task. `serve` gets the number of the connection.
async fn server<F, W>(serve: F) -> Server
where
    F: Fn(usize, TcpStream, Arc<Mutex<Vec<String>>>) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let log = asked.clone();
    let accepting = tokio::spawn(async move {
        let mut number = 0;
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(number, socket, log.clone()));
            number += 1;
        }
    });
    Server { url, asked, accepting }
}

/// Answers each request with these bytes; then closes the connection, or keeps it open without sending more.
pub(crate) async fn http(answer: Vec<u8>, stalls: bool) -> Server {
    let answer = Arc::new(answer);
    server(move |_, mut socket, asked| {
        let answer = answer.clone();
        async move {
            let Some(request) = request(&mut socket).await else { return };
            lock(&asked).push(request);
            if socket.write_all(&answer).await.is_ok() && stalls {
                // Until the client closes the connection.
                let _ = socket.read(&mut [0]).await;
            }
        }
    })
    .await
}

/// Head and body of a request.
async fn request(socket: &mut TcpStream) -> Option<String> {
    let (mut request, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().expect("a number")) {
                return Some(text);
            }
        }
        match socket.read(&mut buffer).await {
            Ok(read @ 1..) => request.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}

/// Serves each WebSocket; `refuse` makes the answer when handshakes are refused.
pub(crate) async fn sockets<F, W>(refuse: Option<fn() -> ErrorResponse>, serve: F) -> Server
where
    F: Fn(usize, WebSocketStream<TcpStream>) -> W + Clone + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    server(move |number, socket, asked| {
        let serve = serve.clone();
        async move {
            #[expect(clippy::result_large_err, reason = "the library's own type")]
            let shake = move |request: &Request, response: Response| {
                lock(&asked).push(format!("{} {:?}", request.uri(), request.headers()));
                refuse.map_or(Ok(response), |refuse| Err(refuse()))
            };
            if let Ok(socket) = tokio_tungstenite::accept_hdr_async(socket, shake).await {
                serve(number, socket).await;
            }
        }
    })
    .await
}

/// An answer with a length.
pub(crate) fn sized(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// An answer in chunks.
pub(crate) fn chunked(content_type: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    )
    .into_bytes();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        answer.extend(format!("{:x}\r\n", piece.len()).bytes());
        answer.extend_from_slice(piece);
        answer.extend(b"\r\n");
    }
    answer.extend(b"0\r\n\r\n");
    answer
}

pub(crate) fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// Half a second at 24 kHz.
pub(crate) fn speech() -> Vec<i16> {
    (0..12_000_i16).map(|n| if n / 50 % 2 == 0 { n % 3_000 } else { -(n % 3_000) }).collect()
}

/// Bounds that every working server keeps.
pub(crate) fn bounds() -> Bounds {
    Bounds::default()
}

/// The samples of a clause, or its error. Nothing may follow an error.
pub(crate) async fn say(voice: &dyn Tts, request: SpeechRequest) -> Result<Vec<i16>> {
    let mut said: Vec<Result<AudioChunk>> = voice.speak(request).collect().await;
    let failed = said.iter().position(Result::is_err);
    assert!(failed.is_none_or(|at| at + 1 == said.len()), "an error is the last: {said:?}");
    if let Some(Err(error)) = said.pop_if(|last| last.is_err()) {
        assert!(!error.to_string().contains(KEY), "{error}");
        return Err(error);
    }
    Ok(said.into_iter().flatten().flat_map(|chunk| chunk.samples.to_vec()).collect())
}

async fn hello(voice: &dyn Tts) -> Result<Vec<i16>> {
    say(voice, SpeechRequest::new(Requester::local(), "Hello.")).await
}

/// Makes a voice for the server at this URL, with these bounds.
pub(crate) type Make = fn(&str, Bounds) -> Box<dyn Tts>;

async fn against(make: Make, answer: Vec<u8>) -> Result<Vec<i16>> {
    let server = http(answer, false).await;
    hello(make(&server.url, bounds()).as_ref()).await
}

/// Tests a voice over HTTP with good and bad answers.
pub(crate) async fn voice_over_http(make: Make) {
    let audio = bytes(&SAMPLES);
    let good =
        http(chunked("audio/pcm", &[&bytes(&speech())[..7_001], &bytes(&speech())[7_001..]]), false).await;
    crate::spec::tts(make(&good.url, bounds()).as_ref()).await;
    assert!(good.asked().iter().all(|asked| asked.contains(" HTTP/1.1")), "every request was read");

    // Answers with a length and answers in chunks are cut at every byte: shorter audio always comes with an error.
    let answers = [
        chunked("audio/pcm", &[&audio[..7], &audio[7..]]),
        sized("200 OK", "content-type: audio/pcm\r\n", &audio),
    ];
    for answer in answers {
        assert_eq!(against(make, answer.clone()).await.expect("whole"), SAMPLES);
        for cut in 0..answer.len() {
            let error = against(make, answer[..cut].to_vec()).await.expect_err("cut");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "after {cut} bytes: {error}");
        }
    }
    wrong_content(make).await;
    stalls(make).await;
}

async fn wrong_content(make: Make) {
    let endless = "HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\n\r\n".as_bytes();
    let whole = |body: &[u8]| sized("200 OK", "", body);
    for (answer, said) in [
        (whole(b"<!DOCTYPE html><html><body>Sign in</body></html>"), "HTML"),
        (whole(b"{\"error\":{\"message\":\"no such format\"}}"), "JSON"),
        (whole(b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0"), "WAV"),
        (chunked("audio/pcm", &[b"RI", b"FF\xff\xff\xff\xffWAVEfmt \x10\0\0\0"]), "WAV"),
        (chunked("audio/mpeg", &[&[0xff, 0xfb, 0x90, 0x00].repeat(9)]), "MP3"),
        (whole(b""), "no audio"),
        ([endless, &bytes(&SAMPLES)].concat(), "without a length"),
    ] {
        let error = against(make, answer).await.expect_err(said);
        assert_eq!(error.kind(), ErrorKind::Protocol, "{said}: {error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    let echo = sized("401 Unauthorized", "", b"{\"message\":\"Who is s3cret?\"}");
    let refused = against(make, echo).await.expect_err("refused");
    assert!(refused.to_string().contains("Who is (the key)?"), "{refused}");
    let odd = against(make, whole(&bytes(&SAMPLES)[1..])).await.expect_err("half a sample");
    assert_eq!(odd.kind(), ErrorKind::Unavailable, "{odd}");
}

async fn stalls(make: Make) {
    let begun = chunked("audio/pcm", &[&bytes(&speech())]);
    let begun = begun[..begun.len() - 5].to_vec();
    let short = Duration::from_millis(100);
    for (answer, bounds) in
        [(begun, Bounds { between: short, ..bounds() }), (Vec::new(), Bounds { first: short, ..bounds() })]
    {
        let server = http(answer, true).await;
        let error = hello(make(&server.url, bounds).as_ref()).await.expect_err("stalled");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }
    let gone = hello(make("http://127.0.0.1:9", bounds()).as_ref()).await.expect_err("nobody there");
    assert_eq!(gone.kind(), ErrorKind::Unavailable, "{gone}");
    // Dropping the stream closes the connection, so that a server that writes for ever notices it.
    let endless = server(|_, mut socket, asked| async move {
        let _ = request(&mut socket).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = socket.write_all(head.as_bytes()).await;
        let second = [&b"2000\r\n"[..], &[0; 0x2000], b"\r\n"].concat();
        while socket.write_all(&second).await.is_ok() {}
        lock(&asked).push("let go".to_owned());
    })
    .await;
    let mut audio = make(&endless.url, bounds()).speak(SpeechRequest::new(Requester::local(), "Hello."));
    audio.try_next().await.expect("works").expect("audio");
    drop(audio);
    until(|| !endless.asked().is_empty()).await;
}

/// Waits until the condition holds, which it soon does.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("soon");
}

/// A vendor's error, and the expected result.
pub(crate) struct Refusal {
    pub(crate) status: &'static str,
    pub(crate) headers: &'static str,
    pub(crate) body: &'static str,
    pub(crate) kind: ErrorKind,
    pub(crate) said: &'static str,
}

impl Refusal {
    pub(crate) const fn new(
        status: &'static str,
        body: &'static str,
        kind: ErrorKind,
        said: &'static str,
    ) -> Self {
        Self { status, headers: "content-type: application/json\r\n", body, kind, said }
    }
}

/// Each error has the expected kind and quotes the server. Returns the errors.
pub(crate) async fn refusals(make: Make, refusals: &[Refusal]) -> Vec<Error> {
    let mut errors = Vec::new();
    for Refusal { status, headers, body, kind, said } in refusals {
        let error = against(make, sized(status, headers, body.as_bytes())).await.expect_err(status);
        assert_eq!(error.kind(), *kind, "{error}");
        assert!(error.to_string().contains(said), "{error}");
        errors.push(error);
    }
    errors
}
