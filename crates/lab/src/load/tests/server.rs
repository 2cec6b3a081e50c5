//! A small server of Twilio streams and Realtime that behaves well or badly.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::load::Protocol;

/// The most that a mu-law sample of noise is away from zero, in the 127 steps of each side.
const NOISE_STEPS: u8 = 8;

/// How the server behaves.
#[derive(Clone, Copy)]
pub(super) enum Behaviour {
    /// Replies this long after a question.
    Answer(Duration),
    /// Replies this long after a question, but does nothing at all between two times after its start.
    Pause { delay: Duration, from: Duration, until: Duration },
    /// Accepts this many calls at a time and refuses others.
    Room { calls: usize, delay: Duration },
    /// Refuses every call.
    Refuse,
    /// Ends a call after 200 ms.
    HangUp,
    /// Sends text that is no message of the protocol.
    Nonsense,
    /// Accepts calls and never replies.
    Silent,
}

/// A server that runs until the test ends.
pub(super) struct Server {
    url: String,
    state: Arc<ServerState>,
}

struct ServerState {
    behaviour: Behaviour,
    start: Instant,
    calls: AtomicUsize,
    /// Times from when questions had really arrived until their replies began.
    latencies: Mutex<Vec<Duration>>,
}

impl Server {
    pub(super) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("ws://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(ServerState {
            behaviour,
            start: Instant::now(),
            calls: AtomicUsize::new(0),
            latencies: Mutex::default(),
        });
        tokio::spawn({
            let state = state.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(state.clone().accept(stream));
                }
            }
        });
        Self { url, state }
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// The 95th percentile of the latency as the server itself measures it.
    pub(super) fn p95(&self) -> Duration {
        let mut latencies = self.state.latencies.lock().expect("unpoisoned").clone();
        latencies.sort();
        latencies[latencies.len() * 95 / 100]
    }
}

impl ServerState {
    async fn accept(self: Arc<Self>, mut stream: TcpStream) {
        let up = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let full = match self.behaviour {
            Behaviour::Refuse => true,
            Behaviour::Room { calls, .. } => up > calls,
            _ => false,
        };
        if full {
            let _ = stream.read(&mut [0; 1024]).await;
            let refusal = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(refusal).await;
        } else {
            self.talk(stream).await;
        }
        self.calls.fetch_sub(1, Ordering::SeqCst);
    }

    #[expect(clippy::result_large_err, reason = "the callback's type is the library's")]
    async fn talk(&self, stream: TcpStream) -> Option<()> {
        let mut protocol = Protocol::Twilio;
        let look = |request: &Request, response: Response| {
            protocol = Protocol::of(request.uri().path());
            if protocol == Protocol::Realtime {
                assert_eq!(request.headers()["authorization"], "Bearer key");
            }
            Ok(response)
        };
        let mut socket = accept_hdr_async(stream, look).await.ok()?;
        if protocol == Protocol::Realtime {
            socket.send(Message::text(r#"{"type":"session.created"}"#)).await.ok()?;
            let update = socket.next().await?.ok()?;
            assert!(update.to_text().ok()?.contains("session.update"));
            socket.send(Message::text(r#"{"type":"session.updated"}"#)).await.ok()?;
        }
        if let Behaviour::Nonsense = self.behaviour {
            socket.send(Message::text("nonsense")).await.ok()?;
        }
        let begun = Instant::now();
        let (mut was_loud, mut answer_at, mut heard) = (false, None::<Instant>, Instant::now());
        loop {
            let answer_time = answer_at.unwrap_or_else(|| Instant::now() + Duration::from_hours(1));
            tokio::select! {
                message = socket.next() => {
                    let message = message?.ok()?;
                    if self.behaves_badly(begun).await {
                        return Some(());
                    }
                    let text = message.to_text().ok()?;
                    let loud = is_loud(text)?;
                    if was_loud && !loud {
                        heard = Instant::now();
                        answer_at = self.delay().map(|delay| heard + delay);
                    }
                    was_loud = loud;
                }
                () = sleep_until(answer_time) => {
                    self.pause().await;
                    answer_at = None;
                    self.latencies.lock().expect("unpoisoned").push(heard.elapsed());
                    for message in reply(protocol) {
                        socket.send(Message::text(message)).await.ok()?;
                    }
                }
            }
        }
    }

    fn delay(&self) -> Option<Duration> {
        match self.behaviour {
            Behaviour::Answer(delay) | Behaviour::Pause { delay, .. } | Behaviour::Room { delay, .. } => {
                Some(delay)
            }
            _ => None,
        }
    }

    /// Whether to end the call now.
    async fn behaves_badly(&self, begun: Instant) -> bool {
        self.pause().await;
        matches!(self.behaviour, Behaviour::HangUp) && begun.elapsed() > Duration::from_millis(200)
    }

    async fn pause(&self) {
        if let Behaviour::Pause { from, until, .. } = self.behaviour
            && (from..until).contains(&self.start.elapsed())
        {
            sleep_until(self.start + until).await;
        }
    }
}

/// Whether a message holds speech; `None` if it is no JSON.
fn is_loud(message: &str) -> Option<bool> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let Some(payload) = message["media"]["payload"].as_str().or(message["audio"].as_str()) else {
        return Some(false);
    };
    let mulaw = STANDARD.decode(payload).ok()?;
    // All bits are inverted, and the highest is the sign.
    Some(mulaw.iter().any(|byte| !byte & 0x7f > NOISE_STEPS))
}

/// The messages of a reply of 100 ms: its audio and its end.
fn reply(protocol: Protocol) -> [String; 2] {
    let audio = STANDARD.encode([0x55; 800]);
    match protocol {
        Protocol::Twilio => [
            format!(r#"{{"event":"media","streamSid":"MZ","media":{{"payload":"{audio}"}}}}"#),
            r#"{"event":"mark","streamSid":"MZ","mark":{"name":"m"}}"#.to_owned(),
        ],
        Protocol::Realtime => [
            format!(r#"{{"type":"response.output_audio.delta","delta":"{audio}"}}"#),
            r#"{"type":"response.done"}"#.to_owned(),
        ],
    }
}

/// A server that runs until it is killed. Its URL is the first line of its output that begins with `ws`.
pub(super) fn sink() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let server = Server::start(Behaviour::Answer(Duration::from_millis(300))).await;
        println!("\n{}", server.url());
        sleep(Duration::from_mins(2)).await;
    });
}

/// A process that is killed when this is dropped.
pub(super) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs [`sink`] in a process of its own.
pub(super) fn sink_process() -> (String, Process) {
    let this = std::env::current_exe().expect("a program");
    let mut command = Command::new(this);
    command.args(["--ignored", "--nocapture", "--exact", "load::tests::sink"]).stdout(Stdio::piped());
    let mut child = command.spawn().expect("a process");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let url = output.lines().map_while(Result::ok).find(|line| line.starts_with("ws://")).expect("a URL");
    (url, Process(child))
}
