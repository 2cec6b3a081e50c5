//! The attacks. Each gives a few words on what it was told, or fails when the server hangs up.

use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt, StreamExt};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::server::Server;

/// How long an answer is awaited at the end of an attack.
const ANSWERED: Duration = Duration::from_secs(20);
/// How long something is held that costs the attacker nothing.
const HELD: Duration = Duration::from_secs(20);

/// An attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
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

/// Which engines the attacked server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engines {
    Embedded,
    Simulated,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Attack {
    pub(crate) const ALL: [Self; 12] = [
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

    pub(crate) fn name(self) -> &'static str {
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

    pub(crate) fn engines(self) -> Engines {
        match self {
            Self::Nothing | Self::ManyMessages | Self::ManyItems | Self::LongWord => Engines::Embedded,
            _ => Engines::Simulated,
        }
    }

    pub(crate) async fn run(self, server: &Server) -> anyhow::Result<String> {
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

async fn many_messages(server: &Server) -> anyhow::Result<String> {
    let messages: Vec<Value> =
        (0..58_001).map(|n| json!({ "role": "user", "content": format!("Message {n}.") })).collect();
    let body = json!({ "model": "default", "max_tokens": 8, "messages": messages });
    post(&server.url("/v1/chat/completions"), &body).await
}

async fn many_items(server: &Server) -> anyhow::Result<String> {
    let mut socket = realtime(server).await?;
    for n in 0..999 {
        let content = json!([{ "type": "input_text", "text": format!("This is what I say at number {n}.") }]);
        let item = json!({ "type": "message", "role": "user", "content": content });
        send(&mut socket, &json!({ "type": "conversation.item.create", "item": item })).await?;
    }
    send(&mut socket, &json!({ "type": "response.create" })).await?;
    until(&mut socket, "response.done").await
}

async fn long_word(server: &Server) -> anyhow::Result<String> {
    let body = json!({ "model": "default", "voice": "alloy", "input": "a".repeat(4_000) });
    post(&server.url("/v1/audio/speech"), &body).await
}

async fn huge_update(server: &Server) -> anyhow::Result<String> {
    let mut socket = realtime(server).await?;
    let tracing = format!("[{}]", vec![r#"{"a":0}"#; 2_750_000].join(","));
    let update =
        format!(r#"{{"type":"session.update","session":{{"type":"realtime","tracing":{tracing}}}}}"#);
    socket.send(Message::text(update)).await?;
    until(&mut socket, "session.updated").await
}

async fn huge_secrets(server: &Server) -> anyhow::Result<String> {
    let mut told = String::new();
    for _ in 0..30 {
        let tracing = vec![json!({ "a": 0 }); 375_000];
        let body = json!({ "session": { "type": "realtime", "tracing": tracing } });
        told = post(&server.url("/v1/realtime/client_secrets"), &body).await?;
    }
    Ok(told)
}

async fn huge_items(server: &Server) -> anyhow::Result<String> {
    let mut socket = realtime(server).await?;
    let text = "word ".repeat(200_000);
    let content = json!([{ "type": "input_text", "text": text }]);
    let item = json!({ "type": "message", "role": "user", "content": content });
    let event = json!({ "type": "conversation.item.create", "item": item }).to_string();
    for _ in 0..1_000 {
        socket.send(Message::text(event.as_str())).await?;
    }
    until(&mut socket, "error").await
}

/// Frames of a WebSocket message that never ends.
async fn unfinished_messages(server: &Server) -> anyhow::Result<String> {
    let mut held = Vec::new();
    for _ in 0..40 {
        let mut stream = handshake(server, "/v1/realtime?model=default").await?;
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
    let mut stream = handshake(server, "/v1/realtime?model=default").await?;
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
    let told = post(&server.url("/v1/chat/completions"), &beside).await?;
    Ok(format!("{ended} writes failed; another client {told}"))
}

async fn realtime(server: &Server) -> anyhow::Result<Socket> {
    let (mut socket, _) = connect_async(server.socket("/v1/realtime?model=default")).await?;
    let session = json!({ "type": "realtime", "output_modalities": ["text"] });
    send(&mut socket, &json!({ "type": "session.update", "session": session })).await?;
    Ok(socket)
}

async fn send(socket: &mut Socket, event: &Value) -> anyhow::Result<()> {
    Ok(socket.send(Message::text(event.to_string())).await?)
}

/// Reads until an event of this kind or an error comes.
async fn until(socket: &mut Socket, kind: &str) -> anyhow::Result<String> {
    let reading = async {
        while let Some(message) = socket.next().await {
            let Message::Text(text) = message? else { continue };
            let event: Value = serde_json::from_str(&text)?;
            if event["type"] == "error" {
                let told: String =
                    event["error"]["message"].as_str().unwrap_or_default().chars().take(80).collect();
                return Ok(format!("was told: {told}"));
            }
            if event["type"] == kind {
                return Ok(format!("got {kind}"));
            }
        }
        Ok("was hung up on".to_owned())
    };
    timeout(ANSWERED, reading).await.unwrap_or_else(|_| Ok("got no answer within 20 s".to_owned()))
}

async fn post(url: &str, body: &Value) -> anyhow::Result<String> {
    let response = reqwest::Client::new().post(url).timeout(ANSWERED).json(body).send().await;
    Ok(match response {
        Ok(response) if response.status() == StatusCode::OK => "was answered".to_owned(),
        Ok(response) => format!("got {}", response.status().as_u16()),
        Err(error) if error.is_timeout() => "got no answer within 20 s".to_owned(),
        Err(_) => "was hung up on".to_owned(),
    })
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
