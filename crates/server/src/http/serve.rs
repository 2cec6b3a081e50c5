//! Listening: connections, TLS, timeouts, and stopping without cutting calls off.
//!
//! The server speaks HTTP/1.1 only: WebSockets need it, and no client of this server needs more. A server that had to
//! detect the version first would wait without a limit for a client that sends nothing.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use antiphon_transports::{Meter, Metered};
use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::Response;
use futures_util::{Stream, StreamExt, stream};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::visit::{Visit, Visits};
use super::{router, tls};
use crate::app::App;
use crate::jobs::{caching, reporting, strain};

/// How long a client may take to send the head of a request or to complete a TLS handshake, and how long a kept-alive
/// connection may idle.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// How long sent data may stay unacknowledged before the connection is closed. This is longer than any hand-over
/// between mobile cells, and short enough that a stalled reader does not hold an engine for long.
const SEND_TIME: Duration = Duration::from_mins(1);
/// How long close messages, and requests that are not calls, may take after the end of the last call.
const LAST_REQUESTS: Duration = Duration::from_secs(5);
/// How many connections the system completes before the server has accepted them. With the usual 128, a thousand callers at once
/// found it full, and 407 of them were asked to come back a second later by TCP.
const BACKLOG: i32 = 4_096;
/// How much of the time until running calls are ended is kept for their goodbyes. A sentence of a dozen words lasts 4 s, and its
/// speech is made when the server starts.
const GOODBYES: Duration = Duration::from_secs(5);
/// Pause after a connection could not be accepted, usually because file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Largest buffer of a connection for what it receives, in bytes. The head of a request has to fit; clients send a few KiB.
const MAX_BUFFER: usize = 32 << 10;

/// The state that every connection needs.
struct Connections {
    router: Router,
    tls: Option<TlsAcceptor>,
    /// Which connections there may be.
    visits: Visits,
    /// Closed when connections may take no further requests.
    closing: watch::Receiver<()>,
}

/// Serves `app` on `listener` until `stop` yields its first item. Then refuses new calls, and waits for the running
/// ones: for as long as the settings say, or until `stop` yields its second item. Callers who are left then hear a goodbye.
pub async fn serve(
    app: Arc<App>,
    listener: std::net::TcpListener,
    stop: impl Stream<Item = ()>,
) -> io::Result<()> {
    refuse_strangers(&app, listener.local_addr()?)?;
    let listener = prepared(listener)?;
    let tls = app.http.tls.as_ref().map(tls::acceptor).transpose()?;
    let (close, closing) = watch::channel(());
    let visits = Visits::new(app.http.connections);
    let connections = Arc::new(Connections { router: router(Arc::clone(&app)), tls, visits, closing });
    let mut open = JoinSet::new();
    let stop = stop.chain(stream::pending());
    tokio::pin!(stop);
    let stopping = async {
        stop.next().await;
        tokio::select! {
            left = drain(&app) => left,
            _ = stop.next() => app.desk.calls.active(),
        }
    };
    tokio::pin!(stopping);
    let mut measuring = JoinSet::new();
    let (calls, components) = (app.desk.calls.clone(), app.watcher.monitor().components());
    measuring.spawn(strain::run(calls, Arc::clone(&app.backlog), components));
    let reporting = reporting::run(&app.reporting, Arc::clone(&app.watcher));
    tokio::pin!(reporting);
    let caching = caching::run(app.caching.clone(), app.desk.clone(), Arc::clone(&app.agent));
    tokio::pin!(caching);
    let calls_left = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let connections = Arc::clone(&connections);
                    // Without a visit there is no room for the connection, and it is closed.
                    if let Some(visit) = connections.visits.arrive(peer.ip()) {
                        open.spawn(async move { connections.serve(stream, peer, visit).await });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = open.join_next() => {}
            () = &mut reporting => {}
            () = &mut caching => {}
            left = &mut stopping => break left,
        }
    };
    app.desk.calls.end(Duration::ZERO);
    drop((listener, close));
    let closed = async { while open.join_next().await.is_some() {} };
    drop(tokio::time::timeout(LAST_REQUESTS, closed).await);
    app.desk.calls.drain(LAST_REQUESTS).await;
    reporting::finish(&app.reporting, &app.watcher).await;
    if let Some(caching) = &app.caching {
        caching::finish(caching).await;
    }
    tracing::info!(calls_left, "stopped");
    Ok(())
}

/// Waits for the running calls for as long as the settings say. The last of that time is for the goodbyes of those that are left;
/// returns how many these were.
async fn drain(app: &App) -> usize {
    let calls = &app.desk.calls;
    let goodbyes = GOODBYES.min(app.http.drain);
    let left = calls.drain(app.http.drain.saturating_sub(goodbyes)).await;
    if left > 0 {
        calls.end(goodbyes);
        calls.drain(goodbyes).await;
    }
    left
}

/// The signals to stop the server: an item for each SIGINT or SIGTERM.
pub fn stop_signals() -> io::Result<impl Stream<Item = ()>> {
    let interrupts = signal(SignalKind::interrupt())?;
    let terminations = signal(SignalKind::terminate())?;
    let items = |mut signals: Signal| stream::poll_fn(move |cx| signals.poll_recv(cx));
    Ok(stream::select(items(interrupts), items(terminations)))
}

/// Without keys everybody who can reach the server may use it, so it may listen on this machine only.
fn refuse_strangers(app: &App, listen: SocketAddr) -> io::Result<()> {
    if !app.desk.keys.is_open() || listen.ip().is_loopback() {
        return Ok(());
    }
    let message = format!(
        "listening on {listen} without keys would let anybody in: set [server] api_keys, or listen on 127.0.0.1"
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// Sets the socket options that accepted connections inherit. With them the system notices a peer that has gone or
/// does not read, and ends the connection, whatever it is used for.
fn prepared(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    let socket = SockRef::from(&listener);
    // The standard library has begun to listen already; this makes its queue longer.
    socket.listen(BACKLOG)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SEND_TIME).with_interval(SEND_TIME / 4))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(SEND_TIME))?;
    TcpListener::from_std(listener)
}

impl Connections {
    async fn serve(&self, stream: TcpStream, peer: SocketAddr, visit: Visit) {
        let served = tokio::select! {
            served = self.serve_stream(stream, peer, visit.clone()) => served,
            () = visit.gives_way() => Err("closed to make room for another".into()),
        };
        if let Err(error) = served {
            tracing::debug!(%peer, error, "connection ended");
        }
    }

    async fn serve_stream(&self, stream: TcpStream, peer: SocketAddr, visit: Visit) -> Result<(), BoxError> {
        stream.set_nodelay(true)?;
        match &self.tls {
            None => self.serve_http(stream, peer, visit).await,
            Some(tls) => {
                let stream = tokio::time::timeout(HEADER_TIME, tls.accept(stream)).await??;
                self.serve_http(stream, peer, visit).await
            }
        }
    }

    async fn serve_http(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        visit: Visit,
    ) -> Result<(), BoxError> {
        let router = self.router.clone();
        let meter = Meter::default();
        let stream = Metered::new(stream, meter.clone());
        let answer = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(meter.clone());
            request.extensions_mut().insert(visit.clone());
            let router = router.clone();
            async move {
                Ok::<Response, Infallible>(
                    router.oneshot(request).await.unwrap_or_else(|never| match never {}),
                )
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(TokioIo::new(stream), answer)
            .with_upgrades();
        tokio::pin!(connection);
        let mut closing = self.closing.clone();
        tokio::select! {
            served = &mut connection => return Ok(served?),
            _ = closing.changed() => connection.as_mut().graceful_shutdown(),
        }
        Ok(connection.await?)
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
