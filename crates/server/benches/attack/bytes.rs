//! Section A, isolation and fairness: strangers ask too much of the server while people talk to it. A line tells the worst
//! that happened to one of them, how much memory the server came to hold, and what the attacker was told.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{ANSWERED, REALTIME, Socket, event, post, post_from_elsewhere, realtime, say, send};
use crate::people::{CALLS, Turns, talk};
use crate::server::Server;
use crate::{Attack, Bench, milliseconds, simulated};

/// How many people talk to simulated engines, which cost nothing: enough that an attack on memory takes something from somebody.
const SIMULATED_CALLS: usize = 20;
/// Turns that each person takes beside an attack.
const TURNS: usize = 2;
/// The longest time that an attack goes on.
const LONGEST: Duration = Duration::from_mins(1);
/// All models are embedded.
const EMBEDDED: &str = "[cache]\nenabled = false\n[telemetry]\nlog = \"error\"\n";
/// Simulated engines are for attacks on memory, so that what it is used for is not models.
const QUIET: &str = "[telemetry]\nlog = \"error\"\n";
/// How long something is held that costs the attacker nothing.
const HELD: Duration = Duration::from_secs(20);

/// An attack on what others get of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overload {
    Nothing,
    ManyMessages,
    ManyItems,
    LongWord,
    HugeUpdate,
    HugeSecrets,
    HugeItems,
    UnfinishedMessages,
    Pings,
    Connections,
    SilentSockets,
    TricklingUploads,
}

/// What happened beside an attack.
struct Measured {
    turns: Turns,
    /// The most memory above what the server held before, in bytes; `None` when the server had died.
    grown: Option<u64>,
    /// What the attacker was told.
    told: String,
}

impl Attack for Overload {
    const SECTION: &str = "A";
    const TITLE: &str = "isolation and fairness: 4 people talk to embedded models, 20 to simulated ones";
    const HEADER: &[&str] = &["attack", "worst wait ms", "turns lost", "memory MB", "the attacker"];
    const ALL: &[Self] = &[
        Self::Nothing,
        Self::ManyMessages,
        Self::ManyItems,
        Self::LongWord,
        Self::HugeUpdate,
        Self::HugeSecrets,
        Self::HugeItems,
        Self::UnfinishedMessages,
        Self::Pings,
        Self::Connections,
        Self::SilentSockets,
        Self::TricklingUploads,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::ManyMessages => "a chat of 58,001 messages",
            Self::ManyItems => "999 items and a response",
            Self::LongWord => "4,000 letters without a space, spoken",
            Self::HugeUpdate => "session.update of 22 MB",
            Self::HugeSecrets => "30 client secrets of 3 MB",
            Self::HugeItems => "1,000 items of 1 MB",
            Self::UnfinishedMessages => "40 unfinished messages of 14 MB",
            Self::Pings => "a flood of pings, unread answers",
            Self::Connections => "4,100 idle connections",
            Self::SilentSockets => "1,000 silent WebSockets",
            Self::TricklingUploads => "64 trickling uploads",
        }
    }

    async fn row(self, bench: &Bench) -> anyhow::Result<Vec<String>> {
        let settings = if self.is_embedded() {
            EMBEDDED.to_owned()
        } else {
            format!("{}{QUIET}", simulated::settings())
        };
        let server = Arc::new(Server::start_program(&bench.program, &settings)?);
        let Measured { turns, grown, told } = measure(self, &server, bench).await?;
        Ok(vec![
            milliseconds(turns.percentile(1.0)),
            turns.lost.to_string(),
            grown.map_or_else(|| "died".to_owned(), |bytes| (bytes / 1_000_000).to_string()),
            told,
        ])
    }
}

impl Overload {
    /// Whether the attack is on the embedded models.
    fn is_embedded(self) -> bool {
        matches!(self, Self::Nothing | Self::ManyMessages | Self::ManyItems | Self::LongWord)
    }

    async fn run(self, server: &Server) -> anyhow::Result<String> {
        match self {
            Self::Nothing => Ok("did nothing".to_owned()),
            Self::ManyMessages => many_messages(server).await,
            Self::ManyItems => many_items(server).await,
            Self::LongWord => long_word(server).await,
            Self::HugeUpdate => huge_update(server).await,
            Self::HugeSecrets => huge_secrets(server).await,
            Self::HugeItems => huge_items(server).await,
            Self::UnfinishedMessages => unfinished_messages(server).await,
            Self::Pings => pings(server).await,
            Self::Connections => connections(server).await,
            Self::SilentSockets => silent_sockets(server).await,
            Self::TricklingUploads => trickling_uploads(server).await,
        }
    }
}

/// Lets people talk once, then beside the attack.
async fn measure(attack: Overload, server: &Arc<Server>, bench: &Bench) -> anyhow::Result<Measured> {
    // The first turns fill the caches of the instructions and of the operating system.
    let calls = if attack.is_embedded() { CALLS } else { SIMULATED_CALLS };
    talk(server, &bench.clips, calls, 1).await;
    let before = server.usage()?.resident;
    let attacking = {
        let server = server.clone();
        tokio::spawn(async move { timeout(LONGEST, attack.run(&server)).await })
    };
    let turns = talk(server, &bench.clips, calls, TURNS).await;
    let told = match attacking.await? {
        Ok(Ok(told)) => told,
        Ok(Err(error)) => format!("failed: {error:#}"),
        Err(_) => "was still at it after a minute".to_owned(),
    };
    let grown = server.usage().ok().map(|usage| usage.peak.saturating_sub(before));
    Ok(Measured { turns, grown, told })
}

async fn many_messages(server: &Server) -> anyhow::Result<String> {
    let messages: Vec<Value> =
        (0..58_001).map(|n| json!({ "role": "user", "content": format!("Message {n}.") })).collect();
    let body = json!({ "model": "default", "max_tokens": 8, "messages": messages });
    Ok(post(&server.url("/v1/chat/completions"), &body).await)
}

async fn many_items(server: &Server) -> anyhow::Result<String> {
    let mut socket = realtime(server, &[]).await?;
    for n in 0..999 {
        say(&mut socket, &format!("This is what I say at number {n}.")).await?;
    }
    send(&mut socket, &json!({ "type": "response.create" })).await?;
    Ok(until(&mut socket, "response.done").await)
}

async fn long_word(server: &Server) -> anyhow::Result<String> {
    let body = json!({ "model": "default", "voice": "alloy", "input": "a".repeat(4_000) });
    Ok(post(&server.url("/v1/audio/speech"), &body).await)
}

async fn huge_update(server: &Server) -> anyhow::Result<String> {
    let mut socket = realtime(server, &[]).await?;
    let tracing = format!("[{}]", vec![r#"{"a":0}"#; 2_750_000].join(","));
    let update =
        format!(r#"{{"type":"session.update","session":{{"type":"realtime","tracing":{tracing}}}}}"#);
    socket.send(Message::text(update)).await?;
    Ok(until(&mut socket, "session.updated").await)
}

async fn huge_secrets(server: &Server) -> anyhow::Result<String> {
    let mut told = String::new();
    for _ in 0..30 {
        let tracing = vec![json!({ "a": 0 }); 375_000];
        let body = json!({ "session": { "type": "realtime", "tracing": tracing } });
        told = post(&server.url("/v1/realtime/client_secrets"), &body).await;
    }
    Ok(told)
}

async fn huge_items(server: &Server) -> anyhow::Result<String> {
    let mut socket = realtime(server, &[]).await?;
    let text = "word ".repeat(200_000);
    let content = json!([{ "type": "input_text", "text": text }]);
    let item = json!({ "type": "message", "role": "user", "content": content });
    let event = json!({ "type": "conversation.item.create", "item": item }).to_string();
    for _ in 0..1_000 {
        socket.send(Message::text(event.as_str())).await?;
    }
    Ok(until(&mut socket, "error").await)
}

/// Frames of a WebSocket message that never ends.
async fn unfinished_messages(server: &Server) -> anyhow::Result<String> {
    let mut held = Vec::new();
    for _ in 0..40 {
        let mut stream = handshake(server, REALTIME).await?;
        // The first frame of a text message (final bit unset) of 14 MB, masked with zeros.
        let length: u64 = 14 << 20;
        let mut frame = vec![0x01, 0x80 | 0x7F];
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        let sent = async {
            stream.write_all(&frame).await?;
            for _ in 0..14 {
                stream.write_all(&vec![b' '; 1 << 20]).await?;
            }
            stream.flush().await
        };
        let refused = !matches!(timeout(Duration::from_secs(2), sent).await, Ok(Ok(())));
        held.push((stream, refused));
    }
    sleep(HELD).await;
    let refused = held.iter().filter(|(_, refused)| *refused).count();
    Ok(format!("{refused} of 40 were refused"))
}

async fn pings(server: &Server) -> anyhow::Result<String> {
    let mut stream = handshake(server, REALTIME).await?;
    // A ping of 125 bytes, masked with zeros; its answers are never read.
    let mut ping = vec![0x89, 0x80 | 0x7D, 0, 0, 0, 0];
    ping.extend_from_slice(&[b'x'; 125]);
    let flood = ping.repeat(500);
    let sending = async {
        for sent in 0_u64.. {
            if stream.write_all(&flood).await.is_err() {
                return sent * 500;
            }
        }
        0
    };
    match timeout(HELD, sending).await {
        Ok(sent) => Ok(format!("was cut off after {sent} pings")),
        Err(_) => Ok("was no longer read, or went on for 20 s".to_owned()),
    }
}

async fn connections(server: &Server) -> anyhow::Result<String> {
    let mut held = Vec::new();
    for _ in 0..4_100 {
        let connected = timeout(Duration::from_secs(2), TcpStream::connect(server.address())).await;
        let Ok(Ok(mut stream)) = connected else { break };
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
        held.push(stream);
    }
    sleep(HELD).await;
    let mut open = 0;
    for stream in &mut held {
        let mut bytes = [0; 4_096];
        // The first read gives the answer to the request; after it an open connection has nothing more.
        let _ = timeout(Duration::from_millis(10), stream.read(&mut bytes)).await;
        open += usize::from(timeout(Duration::from_millis(1), stream.read(&mut bytes)).await.is_err());
    }
    Ok(format!("{} were taken, {open} are still open", held.len()))
}

async fn silent_sockets(server: &Server) -> anyhow::Result<String> {
    let (mut held, mut refused) = (Vec::new(), 0);
    for _ in 0..1_000 {
        match handshake(server, "/talk/ws").await {
            Ok(stream) => held.push(stream),
            Err(_) => refused += 1,
        }
    }
    sleep(HELD).await;
    Ok(format!("{} were taken, {refused} refused", held.len()))
}

async fn trickling_uploads(server: &Server) -> anyhow::Result<String> {
    let mut held = Vec::new();
    let head = "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\n\
        Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n--b\r\n";
    for _ in 0..64 {
        let mut stream = TcpStream::connect(server.address()).await?;
        stream.write_all(head.as_bytes()).await?;
        held.push(stream);
    }
    let until = tokio::time::Instant::now() + HELD;
    let mut ended = 0;
    while tokio::time::Instant::now() < until {
        for stream in &mut held {
            ended += usize::from(stream.write_all(b"x").await.is_err());
        }
        sleep(Duration::from_secs(1)).await;
    }
    let beside = json!({ "model": "default", "messages": [{ "role": "user", "content": "Hello" }] });
    let url = server.url("/v1/chat/completions");
    let (same, other) = (post(&url, &beside).await, post_from_elsewhere(&url, &beside).await?);
    Ok(format!("{ended} writes failed; a client at the same address {same}, one at another {other}"))
}

/// What comes first: an event of this kind, an error or nothing.
async fn until(socket: &mut Socket, kind: &str) -> String {
    event(socket, kind).await.map_or_else(|error| format!("{error:#}"), |_| format!("got {kind}"))
}

/// Opens a WebSocket whose bytes are written by hand.
async fn handshake(server: &Server, path: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(server.address()).await?;
    let key = BASE64_STANDARD.encode([7_u8; 16]);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 1_024];
    let read = timeout(ANSWERED, stream.read(&mut answer)).await.context("no answer")??;
    anyhow::ensure!(answer[..read].starts_with(b"HTTP/1.1 101"), "refused");
    Ok(stream)
}
