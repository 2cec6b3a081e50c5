//! WebSockets to vendors, with bounds on connecting, on writing and on the size of messages.

use std::time::Duration;

use antiphon_core::{Error, ErrorKind, Result};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::rate::retry_after;
use super::{Remote, said};

/// The largest message in bytes: seven times as much as ten seconds of 48 kHz audio in base64.
const LARGEST: usize = 8 << 20;
/// A server that does not take a message within this time is considered gone.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// An open WebSocket to a vendor.
pub(crate) struct Socket {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    remote: Remote,
}

/// A message that was received.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    /// A text, usually JSON.
    Text(String),
    /// Bytes, usually of audio.
    Binary(Vec<u8>),
}

impl Socket {
    /// Connects to `path` of the server.
    pub(crate) async fn connect(remote: &Remote, path: &str) -> Result<Self> {
        super::crypto();
        let mut request = remote
            .socket_url(path)
            .into_client_request()
            .map_err(|_| Error::invalid(format!("{} base_url is no URL", remote.section)))?;
        request.headers_mut().extend(remote.headers.clone());
        let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
        let connecting = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
        let bound = remote.bounds.connect;
        match timeout(bound, connecting).await {
            Err(_) => Err(remote.late(bound)),
            Ok(Ok((socket, _))) => Ok(Self { socket, remote: remote.clone() }),
            Ok(Err(tungstenite::Error::Http(response))) => {
                let said = said(response.body().as_deref().unwrap_or_default());
                Err(remote.answered_with(response.status(), &said, retry_after(response.headers())))
            }
            Ok(Err(error)) => Err(remote.unreachable(&error)),
        }
    }

    /// Sends a text; fails when the server is gone or does not take it in time.
    pub(crate) async fn send_text(&mut self, text: String) -> Result<()> {
        self.send(Message::text(text)).await
    }

    /// Sends bytes; fails when the server is gone or does not take them in time.
    pub(crate) async fn send_binary(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.send(Message::binary(bytes)).await
    }

    async fn send(&mut self, message: Message) -> Result<()> {
        match timeout(WRITE_WITHIN, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.remote.broke_off()),
            Err(_) => Err(self.remote.late(WRITE_WITHIN)),
        }
    }

    /// The next message. There is no bound: the caller bounds its wait for an answer. `None` when the server has closed
    /// the connection, an error when it did so with an error code.
    pub(crate) async fn next(&mut self) -> Option<Result<Frame>> {
        loop {
            return match self.socket.next().await? {
                Ok(Message::Text(text)) => Some(Ok(Frame::Text(text.as_str().to_owned()))),
                Ok(Message::Binary(bytes)) => Some(Ok(Frame::Binary(bytes.to_vec()))),
                Ok(Message::Close(Some(frame))) if u16::from(frame.code) != 1000 => {
                    let code = u16::from(frame.code);
                    let kind = if code == 1008 { ErrorKind::Unauthorized } else { ErrorKind::Unavailable };
                    let said = self.remote.repeated(&frame.reason);
                    let message = format!("{} closed the connection ({code}) {said}", self.remote.who);
                    Some(Err(Error::new(kind, message.trim_end())))
                }
                Ok(Message::Close(_)) => None,
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Err(tungstenite::Error::Capacity(_)) => Some(Err(self.remote.protocol("an endless message"))),
                Err(_) => Some(Err(self.remote.broke_off())),
            };
        }
    }
}
