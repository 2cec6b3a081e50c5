//! A server on an ephemeral local port, with engines that do what the request tells them.

#![allow(dead_code, reason = "each test program uses its share")]

pub(crate) mod memories;
pub(crate) mod schema;
pub(crate) mod tools;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use antiphon_agent::{Agent, Engines};
use antiphon_core::session::{ListeningConfig, SessionConfig};
use antiphon_providers::scripted::fake::{FakeEmbed, FakeLlm, FakeStt, FakeTts, FakeVad};
use antiphon_server::app::{App, Measuring};
use antiphon_server::http::serve;
use antiphon_server::settings::Settings;
use futures_util::stream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server that runs until it is stopped or dropped.
pub(crate) struct Server {
    pub(crate) app: Arc<App>,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(crate) fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        Self::serve(app(settings), listener, address)
    }

    /// A server whose calls contain spoken turns from their beginning.
    pub(crate) fn start_speaking(settings: Settings) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let app = App::new(settings, Agent::default(), engines(), Measuring::default()).expect("threads");
        Self::serve(Arc::new(app), listener, address)
    }

    /// A server with this agent and these engines.
    pub(crate) fn start_with(settings: Settings, agent: Agent, engines: Engines) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let app = App::new(settings, agent, engines, Measuring::default()).expect("threads");
        Self::serve(Arc::new(app), listener, address)
    }

    fn serve(app: Arc<App>, listener: TcpListener, address: SocketAddr) -> Self {
        // An error means that another provider is installed already, which is just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = stream::once(async { drop(stopped.await) });
        let task = tokio::spawn(serve(Arc::clone(&app), listener, stopped));
        Self { app, address, stop: Some(stop), task }
    }

    /// The URL of one of the server's WebSockets.
    pub(crate) fn socket(&self, path: &str) -> String {
        self.url(path).replacen("http", "ws", 1)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.app.http.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// Stops the server and waits until it is gone.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        let stopped = tokio::time::timeout(Duration::from_secs(20), self.task).await;
        stopped.expect("the server stops in time").expect("no panic").expect("no error");
    }
}

/// The state of a server with these settings.
pub(crate) fn app(settings: Settings) -> Arc<App> {
    Arc::new(App::new(settings, agent(), engines(), Measuring::default()).expect("threads"))
}

pub(crate) fn engines() -> Engines {
    Engines {
        vad: Arc::new(FakeVad),
        turn: None,
        stt: Arc::new(FakeStt),
        llm: Arc::new(FakeLlm),
        tts: Arc::new(FakeTts),
        embed: Arc::new(FakeEmbed),
        emotion: None,
    }
}

/// An agent whose turns only the client ends.
pub(crate) fn agent() -> Agent {
    let listening =
        ListeningConfig { turns: None, prefix_padding: Duration::ZERO, ..ListeningConfig::default() };
    Agent { session: SessionConfig { listening, ..SessionConfig::default() }, ..Agent::default() }
}
