//! A WebSocket as a telephone line: it waits for the next message or for the time to send, whichever comes first.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::tally::Failure;
use super::wire::Event;
use super::{LoadError, Target};

/// Time in which a call must be connected, or it has failed.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// A server that has read nothing for this long is taken as gone.
const STALL_LIMIT: Duration = Duration::from_secs(10);
/// How long to wait for the server's answer when a call is closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// Bytes of the read buffer. It is small, because messages are short and each of thousands of calls has one.
const READ_BUFFER: usize = 8 << 10;
/// Bytes of the longest message accepted: a minute of mu-law as base64 takes less.
const MAX_MESSAGE: usize = 1 << 20;

/// The connection of one simulated call.
pub(super) struct Line {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    timer: Pin<Box<Sleep>>,
    /// Whether the frame that is due cannot be written yet.
    blocked: bool,
}

/// The request with which every call begins. Fails when the URL or the key cannot be sent.
pub(super) fn request(target: &Target) -> Result<Request, LoadError> {
    let error = |reason: String| LoadError::Target { url: public_url(&target.url), reason };
    let mut request = target.url.as_str().into_client_request().map_err(|e| error(e.to_string()))?;
    if !matches!(request.uri().scheme_str(), Some("ws" | "wss")) {
        return Err(error("it is no WebSocket URL".to_owned()));
    }
    if let Some(key) = &target.key {
        let value = format!("Bearer {key}").parse();
        let value = value.map_err(|_| error("the key holds what no header can".to_owned()))?;
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

/// A URL without the parts that may be secret: user, password and query.
pub(super) fn public_url(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

impl Line {
    /// Connects. Where the protocol has sessions, it also waits until the server has accepted one.
    pub(super) async fn open(target: &Target, request: Request, call: u64) -> Result<Self, Failure> {
        let opened = timeout(CONNECT_LIMIT, Self::open_unbounded(target, request, call)).await;
        opened.unwrap_or_else(|_| {
            Err(Failure::Connect(format!("the call was not up after {} s", CONNECT_LIMIT.as_secs())))
        })
    }

    async fn open_unbounded(target: &Target, request: Request, call: u64) -> Result<Self, Failure> {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            // Without a write buffer every frame goes out at once.
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE));
        let (socket, _) =
            connect_async_with_config(request, Some(config), true).await.map_err(|error| refusal(&error))?;
        let timer = Box::pin(sleep_until(Instant::now()));
        let mut line = Self { socket, timer, blocked: false };
        let protocol = target.protocol;
        if protocol == super::Protocol::Realtime {
            line.expect(protocol, &Event::Created).await?;
        }
        for message in protocol.begin(call) {
            line.socket.send(Message::text(message)).await.map_err(|error| hung_up(&error))?;
        }
        if protocol == super::Protocol::Realtime {
            line.expect(protocol, &Event::Updated).await?;
        }
        Ok(line)
    }

    async fn expect(&mut self, protocol: super::Protocol, wanted: &Event) -> Result<(), Failure> {
        loop {
            let message = poll_fn(|cx| self.poll_text(cx)).await?;
            match protocol.understand(&message).map_err(Failure::Protocol)? {
                Event::Error(reason) => return Err(Failure::Protocol(reason)),
                event if event == *wanted => return Ok(()),
                _ => {}
            }
        }
    }

    /// Waits until a message comes, which it returns, or until the frame that is due at `due` can be sent; then it returns
    /// `None`. `late` is told how late the frame's time was noticed. Fails when the connection ends, or when nothing can be sent
    /// for [`STALL_LIMIT`].
    pub(super) async fn wait(
        &mut self,
        due: Instant,
        late: impl Fn(Duration),
    ) -> Result<Option<Utf8Bytes>, Failure> {
        if !self.blocked {
            self.timer.as_mut().reset(due);
        }
        poll_fn(|cx| {
            if let Poll::Ready(text) = self.poll_text(cx) {
                return Poll::Ready(text.map(Some));
            }
            if !self.blocked {
                ready!(self.timer.poll_unpin(cx));
                late(due.elapsed());
                self.blocked = true;
                self.timer.as_mut().reset(due.max(Instant::now()) + STALL_LIMIT);
            }
            if let Poll::Ready(writable) = self.socket.poll_ready_unpin(cx) {
                self.blocked = false;
                return Poll::Ready(writable.map(|()| None).map_err(|error| hung_up(&error)));
            }
            ready!(self.timer.poll_unpin(cx));
            let reason = format!("the server read nothing for {} s", STALL_LIMIT.as_secs());
            Poll::Ready(Err(Failure::HungUp(reason)))
        })
        .await
    }

    /// Sends a message without waiting until it has left. Call it right after [`Line::wait`] has returned `None`.
    pub(super) fn send(&mut self, text: Utf8Bytes) -> Result<(), Failure> {
        self.socket.start_send_unpin(Message::Text(text)).map_err(|error| hung_up(&error))
    }

    /// Ends the call: sends `last`, if the protocol has such a message, and closes the connection.
    pub(super) async fn close(mut self, last: Option<String>) {
        let goodbye = async {
            if let Some(last) = last {
                self.socket.send(Message::text(last)).await?;
            }
            self.socket.close(None).await
        };
        // A failure does not matter: the call is over either way.
        let _ = timeout(CLOSE_LIMIT, goodbye).await;
    }

    fn poll_text(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<Utf8Bytes, Failure>> {
        loop {
            return Poll::Ready(match ready!(self.socket.poll_next_unpin(cx)) {
                Some(Ok(Message::Text(text))) => Ok(text),
                Some(Ok(Message::Close(frame))) => {
                    let reason = frame.map_or_else(String::new, |frame| format!(": {frame}"));
                    Err(Failure::HungUp(format!("the server closed the call{reason}")))
                }
                Some(Ok(_)) => continue,
                Some(Err(error)) => Err(hung_up(&error)),
                None => Err(Failure::HungUp("the server closed the call".to_owned())),
            });
        }
    }
}

fn hung_up(error: &Error) -> Failure {
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Failure::HungUp(error.to_string()),
        Error::Protocol(_) | Error::Capacity(_) | Error::Utf8(_) => Failure::Protocol(error.to_string()),
        _ => Failure::HungUp(error.to_string()),
    }
}

/// Why the call was refused. A server without room answers 503, or 429 where an account's quota is used up.
fn refusal(error: &Error) -> Failure {
    let reason = error.to_string();
    match error {
        Error::Http(response) if matches!(response.status().as_u16(), 429 | 503) => Failure::Busy(reason),
        _ => Failure::Connect(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_left_out() {
        for (url, public) in [
            ("wss://user:pass@host:1/v1/realtime?key=secret#x", "wss://host:1/v1/realtime"),
            ("ws://host", "ws://host"),
            ("ws://a@b/p@q", "ws://b/p@q"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(public_url(url), public);
        }
    }

    #[test]
    fn a_target_that_cannot_be_called_is_refused_without_its_secrets() {
        for (url, key) in [("http://u:secret@h/", None), ("", None), ("ws://h?secret", Some("secret\n"))] {
            let target = Target::new(url, key.map(str::to_owned));
            let error = request(&target).expect_err(url).to_string();
            assert!(error.contains("ws://") && !error.contains("secret"), "{error}");
        }
        let request = request(&Target::new("ws://h/p", Some("k".to_owned()))).expect("fine");
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer k");
    }
}
