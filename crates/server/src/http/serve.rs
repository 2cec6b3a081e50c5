//! Listening: connections, TLS, and stopping without cutting anybody off.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;

use super::{Tls, router};
use crate::app::App;

/// How long a client may take to send the head of a request, and how long a kept-alive connection may idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests that are no calls may go on after the last call.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Serves `app` on `listener` until `stop` is ready, then refuses new calls, lets those there are come to their
/// end for as long as the settings say, and returns.
pub async fn serve(app: Arc<App>, listener: TcpListener, stop: impl Future<Output = ()>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let service = router(Arc::clone(&app)).into_make_service_with_connect_info::<SocketAddr>();
    let handle = Handle::new();
    let mut server = axum_server::from_tcp(listener)?.handle(handle.clone());
    limit(&mut server);
    let tls = match &app.http.tls {
        Some(tls) => Some(tls_config(tls).await?),
        None => None,
    };
    let serving = async {
        match tls {
            Some(tls) => {
                server.acceptor(RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor)).serve(service).await
            }
            None => server.acceptor(NoDelayAcceptor).serve(service).await,
        }
    };
    let stopping = async {
        stop.await;
        let left = app.calls.drain(app.http.drain).await;
        tracing::info!(left, "stopping");
        handle.graceful_shutdown(Some(LAST_REQUESTS));
    };
    tokio::pin!(serving);
    tokio::select! {
        served = &mut serving => served,
        () = stopping => serving.await,
    }
}

/// HTTP/1.1 only: WebSockets need it, no client of this server needs more, and the version can be known before a
/// byte is read, so that a client that sends nothing is under a time limit from the start.
fn limit(server: &mut Server<SocketAddr>) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    *server.http_builder() = builder;
}

async fn tls_config(tls: &Tls) -> io::Result<RustlsConfig> {
    // An error means that a provider is installed already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let config = RustlsConfig::from_pem_file(&tls.cert, &tls.key).await.map_err(|error| {
        let (cert, key) = (tls.cert.display(), tls.key.display());
        io::Error::new(error.kind(), format!("[server.tls] cert {cert}, key {key}: {error}"))
    })?;
    let mut http1 = rustls::ServerConfig::clone(&config.get_inner());
    http1.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.reload_from_config(Arc::new(http1));
    Ok(config)
}
