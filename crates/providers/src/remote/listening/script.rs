//! Scripted servers for tests of recognisers: one that keeps to a vendor's protocol, and many that do not.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{Error, ErrorKind, Requester, Result, Stt, SttInput, SttOptions, Transcript};
use futures_util::{FutureExt, SinkExt, StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// No request of these tests takes so long.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) type Conversation = WebSocketStream<TcpStream>;

/// One session of a vendor's server. Each method returns the messages to send.
pub(crate) trait Vendor: Send + 'static {
    fn begin(&mut self) -> Vec<String>;
    fn hear(&mut self, samples: usize) -> Vec<String>;
    /// Also returns whether the session is over.
    fn read(&mut self, text: &str) -> (Vec<String>, bool);
}

/// Starts a server whose sessions are handled by `talk`, which gets the path and the key. Returns its URL.
pub(crate) async fn serve<F>(talk: impl Fn(String, Conversation) -> F + Send + Sync + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let talk = Arc::new(talk);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let talk = talk.clone();
            tokio::spawn(async move {
                let mut asked = String::new();
                #[expect(clippy::result_large_err, reason = "the library's own type")]
                let note = |request: &Request, response: Response| {
                    let key = request.headers().get("authorization");
                    let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
                    asked = format!("{} {key}", request.uri());
                    Ok(response)
                };
                if let Ok(socket) = tokio_tungstenite::accept_hdr_async(tcp, note).await {
                    talk(asked, socket).await;
                }
            });
        }
    });
    url
}

/// Starts a server that keeps to a vendor's protocol.
pub(crate) async fn vendor<V: Vendor>(make: impl Fn(&str) -> V + Send + Sync + 'static) -> String {
    serve(move |asked, mut socket| {
        let mut vendor = make(&asked);
        async move {
            let mut over = false;
            let mut say = vendor.begin();
            loop {
                for text in say.drain(..) {
                    let _ = socket.feed(Message::text(text)).await;
                }
                let _ = socket.flush().await;
                if over {
                    let _ = socket.close(None).await;
                    return;
                }
                match socket.next().await {
                    Some(Ok(Message::Binary(bytes))) => say = vendor.hear(bytes.len() / 2),
                    Some(Ok(Message::Text(text))) => (say, over) = vendor.read(text.as_str()),
                    Some(Ok(_)) => {}
                    _ => return,
                }
            }
        }
    })
    .await
}

/// What can go wrong once audio is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Close(u16, &'static str),
    Text(&'static str),
    Binary,
    Huge,
    Disconnect,
}

/// A server that takes the first audio and then fails.
pub(crate) async fn faulty(fault: Fault) -> String {
    serve(move |_, mut socket| async move {
        while !matches!(socket.next().await, Some(Ok(Message::Binary(_))) | None) {}
        let _ = match fault {
            Fault::Close(code, reason) => {
                socket.close(Some(CloseFrame { code: CloseCode::from(code), reason: reason.into() })).await
            }
            Fault::Text(text) => socket.send(Message::text(text)).await,
            Fault::Binary => socket.send(Message::binary(vec![0; 8])).await,
            Fault::Huge => socket.send(Message::text(" ".repeat(9 << 20))).await,
            Fault::Disconnect => return,
        };
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await
}

/// A server that refuses the handshake with these bytes.
pub(crate) async fn refusing(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut buffer = [0; 4_096];
            let _ = tcp.read(&mut buffer).await;
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = tcp.write_all(answer.as_bytes()).await;
            // Waits until the client has read the answer.
            let _ = tcp.read(&mut buffer).await;
        }
    });
    url
}

/// A square wave, which the scripted servers take for speech.
pub(crate) fn noise(samples: usize) -> Vec<i16> {
    (0..samples).map(|n| if n / 40 % 2 == 0 { 3_000 } else { -3_000 }).collect()
}

/// This many samples in pieces of 100 ms.
pub(crate) fn audio(samples: usize) -> Vec<SttInput> {
    noise(samples).chunks(1_600).map(|piece| SttInput::Audio(piece.into())).collect()
}

/// All answers to `input`.
pub(crate) async fn transcribe(
    engine: &dyn Stt,
    partials: bool,
    input: Vec<SttInput>,
) -> Vec<Result<Transcript>> {
    let options = SttOptions { partials, ..SttOptions::new(Requester::local()) };
    let answers = engine.transcribe(options, stream::iter(input).boxed()).collect();
    tokio::time::timeout(PATIENCE, answers).await.expect("in time")
}

/// The error with which a transcription of live audio ends.
pub(crate) async fn error(engine: &dyn Stt) -> Error {
    let live = stream::iter(audio(16_000)).chain(stream::pending()).boxed();
    let answers = engine.transcribe(SttOptions::new(Requester::local()), live).collect::<Vec<_>>();
    let mut answers = tokio::time::timeout(PATIENCE, answers).await.expect("in time");
    let last = answers.pop().expect("something");
    assert!(answers.iter().all(Result::is_ok), "nothing comes after an error: {answers:?}");
    last.expect_err("a failure")
}

/// However a server fails, the error says how, has the right kind, and does not contain the key, which is `s3cret`.
pub(crate) async fn fails_clearly(engine: impl Fn(String) -> Arc<dyn Stt>, refusal: &'static str) {
    let check = async |url: String, kind: ErrorKind, words: &str| {
        let error = error(engine(url).as_ref()).await;
        assert_eq!(error.kind(), kind, "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(words) && !text.contains("s3cret"), "{text} should say {words:?}");
    };
    check("http://127.0.0.1:9".to_owned(), ErrorKind::Unavailable, "cannot be reached").await;
    for (status, kind) in [
        ("401 Unauthorized", ErrorKind::Unauthorized),
        ("402 Payment Required", ErrorKind::Unauthorized),
        ("429 Too Many Requests", ErrorKind::RateLimited),
        ("503 Service Unavailable", ErrorKind::Unavailable),
    ] {
        check(refusing(status, refusal).await, kind, "because").await;
    }
    for (fault, kind, words) in [
        (Fault::Close(1008, "because"), ErrorKind::Unauthorized, "(1008) because"),
        (Fault::Close(1011, "because"), ErrorKind::Unavailable, "(1011) because"),
        (Fault::Close(3007, "because"), ErrorKind::Unavailable, "(3007) because"),
        (Fault::Close(1011, "your s3cret?"), ErrorKind::Unavailable, "(1011) your (the key)?"),
        (Fault::Close(1000, ""), ErrorKind::Unavailable, "broke off"),
        (Fault::Disconnect, ErrorKind::Unavailable, "broke off"),
        (Fault::Binary, ErrorKind::Protocol, "bytes where text was due"),
        (Fault::Huge, ErrorKind::Protocol, "endless"),
        (Fault::Text("{nonsense"), ErrorKind::Protocol, "no valid message"),
        (Fault::Text("7"), ErrorKind::Protocol, "no valid message"),
        (Fault::Text("\"s3cret\""), ErrorKind::Protocol, "\"(the key)\""),
    ] {
        check(faulty(fault).await, kind, words).await;
    }
}

/// A server that sends nothing does not block a call. The engine's `answer_within` is short.
pub(crate) async fn silence_is_bounded(engine: impl Fn(String) -> Arc<dyn Stt>) {
    let url = serve(|_, socket| socket.for_each(|_| async {}).boxed()).await;
    let engine = engine(url);
    let little = audio(16_000).into_iter().chain([SttInput::Flush]).collect();
    let answers = transcribe(engine.as_ref(), true, little).await;
    let nothing = Transcript { audio_ms: 1_000, flushed: true, ..Transcript::default() };
    assert_eq!(answers, [Ok(nothing)], "perhaps nothing was said");
    let answers = transcribe(engine.as_ref(), true, audio(64_000)).await;
    let error = answers.into_iter().last().expect("an answer").expect_err("broken");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}
