//! What attackers send: requests, and WebSockets of OpenAI Realtime and of the talk page.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::server::Server;

/// How long an answer is awaited.
pub(crate) const ANSWERED: Duration = Duration::from_secs(20);
/// The path of OpenAI Realtime.
pub(crate) const REALTIME: &str = "/v1/realtime?model=default";
/// What is said of an answer that did not come.
const NO_ANSWER: &str = "got no answer within 20 s";
/// Another address of this machine than the one that everybody else calls from.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// How much of an error message is repeated, in characters.
const MESSAGE_CHARS: usize = 80;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
/// Names and values of headers.
pub(crate) type Headers<'a> = &'a [(&'static str, &'a str)];

/// The server answered a request with this status instead of doing what was asked.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) u16);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "was refused ({})", self.0)
    }
}

impl std::error::Error for Refused {}

/// Opens a WebSocket. The error is [`Refused`] if the server does not take it.
pub(crate) async fn connect(server: &Server, path: &str, headers: Headers<'_>) -> anyhow::Result<Socket> {
    let mut request = server.socket(path).into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse()?);
    }
    match timeout(ANSWERED, connect_async(request)).await.context(NO_ANSWER)? {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(Refused(response.status().as_u16()).into()),
        Err(error) => Err(error.into()),
    }
}

/// Opens a session of OpenAI Realtime that answers in text.
pub(crate) async fn realtime(server: &Server, headers: Headers<'_>) -> anyhow::Result<Socket> {
    let mut socket = connect(server, REALTIME, headers).await?;
    configure(&mut socket, &json!({ "type": "realtime", "output_modalities": ["text"] })).await?;
    Ok(socket)
}

/// Configures a session of OpenAI Realtime, as a client may at any time.
pub(crate) async fn configure(socket: &mut Socket, session: &Value) -> anyhow::Result<()> {
    send(socket, &json!({ "type": "session.update", "session": session })).await
}

pub(crate) async fn send(socket: &mut Socket, event: &Value) -> anyhow::Result<()> {
    Ok(socket.send(Message::text(event.to_string())).await?)
}

/// Reads until an event of this kind comes. An event that is an error is one here, too.
pub(crate) async fn event(socket: &mut Socket, kind: &str) -> anyhow::Result<Value> {
    let reading = async {
        while let Some(message) = socket.next().await {
            let Message::Text(text) = message? else { continue };
            let event: Value = serde_json::from_str(&text)?;
            if event["type"] == "error" {
                let told = event["error"]["message"].as_str().unwrap_or_default();
                bail!("was told: {}", told.chars().take(MESSAGE_CHARS).collect::<String>());
            }
            if event["type"] == kind {
                return Ok(event);
            }
        }
        bail!("was hung up on")
    };
    timeout(ANSWERED, reading).await.context(NO_ANSWER)?
}

/// Adds an item with this text to the conversation of a session of OpenAI Realtime.
pub(crate) async fn say(socket: &mut Socket, text: &str) -> anyhow::Result<()> {
    let content = json!([{ "type": "input_text", "text": text }]);
    let item = json!({ "type": "message", "role": "user", "content": content });
    send(socket, &json!({ "type": "conversation.item.create", "item": item })).await
}

/// Says something over OpenAI Realtime, and returns the reply.
pub(crate) async fn ask(socket: &mut Socket, text: &str) -> anyhow::Result<String> {
    say(socket, text).await?;
    send(socket, &json!({ "type": "response.create" })).await?;
    Ok(event(socket, "response.done").await?["response"]["output"].to_string())
}

/// Types something at the talk page, and returns the reply.
pub(crate) async fn type_in(socket: &mut Socket, text: &str) -> anyhow::Result<String> {
    send(socket, &json!({ "type": "text", "text": text })).await?;
    let mut said = String::new();
    let reading = async {
        while let Some(message) = socket.next().await {
            let Message::Text(text) = message? else { continue };
            let event: Value = serde_json::from_str(&text)?;
            match event["type"].as_str() {
                Some("reply_text") => said.push_str(event["delta"].as_str().unwrap_or_default()),
                Some("reply_done") => return Ok(said),
                _ => {}
            }
        }
        bail!("was hung up on")
    };
    timeout(ANSWERED, reading).await.context(NO_ANSWER)?
}

/// Posts a body, and says what came of it.
pub(crate) async fn post(url: &str, body: &Value) -> String {
    send_json(&reqwest::Client::new(), url, body).await
}

/// Posts JSON from another address than everybody else's; says how it is answered.
pub(crate) async fn post_from_elsewhere(url: &str, body: &Value) -> anyhow::Result<String> {
    let client = reqwest::Client::builder().local_address(ELSEWHERE).build()?;
    Ok(send_json(&client, url, body).await)
}

async fn send_json(client: &reqwest::Client, url: &str, body: &Value) -> String {
    match client.post(url).timeout(ANSWERED).json(body).send().await {
        Ok(response) if response.status() == StatusCode::OK => "was answered".to_owned(),
        Ok(response) => format!("got {}", response.status().as_u16()),
        Err(error) if error.is_timeout() => NO_ANSWER.to_owned(),
        Err(_) => "was hung up on".to_owned(),
    }
}
