//! `antiphon serve`

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use antiphon_telemetry::Metrics;
use anyhow::{Context, Result};

use super::{logging, print, runtime};
use crate::app::App;
use crate::config::{self, Config};
use crate::http::auth::Auth;
use crate::http::{Settings, Telephony, Tls, serve, stop_signals};
use crate::stack;

/// Run the server, with its talk page.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antiphon serve\n  antiphon serve --listen 127.0.0.1:8000")]
pub(super) struct Arguments {
    /// Where to listen, instead of [server] listen.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

pub(super) fn run(arguments: &Arguments, config: &Config) -> Result<()> {
    logging(config, None)?;
    let stack = stack::build(config)?;
    for line in &stack.description {
        tracing::info!("{line}");
    }
    let address = arguments.listen.unwrap_or(config.server.listen);
    let listener = std::net::TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}: is another server running there?"))?;
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let app = {
        let (session, metrics) = (stack::session_config(config), Arc::new(Metrics::new()));
        App::new(settings(config), session, stack.engines, stack.components, metrics)
    };
    let bound = listener.local_addr()?;
    runtime()?.block_on(async move {
        let stop = stop_signals()?;
        print(&format!("Antiphon listens on {scheme}://{bound}"));
        serve(Arc::new(app), listener, stop).await
    })?;
    // The engines have gone with the app; now their threads may.
    drop(stack.pool);
    Ok(())
}

fn settings(config: &Config) -> Settings {
    let server = &config.server;
    Settings {
        auth: Auth::new(server.api_keys.iter().map(config::Secret::reveal)),
        tls: server.tls.as_ref().map(|tls| Tls { cert: tls.cert.clone(), key: tls.key.clone() }),
        max_calls: server.limits.max_calls,
        max_upload_bytes: server.limits.max_upload_mb << 20,
        drain: Duration::from_secs(server.limits.drain_s),
        telephony: Telephony {
            public_url: config.telephony.public_url.as_ref().and_then(|url| url.parse().ok()),
            twilio_auth_token: config.telephony.twilio_auth_token.as_ref().map(|t| t.reveal().to_owned()),
        },
        ..Settings::default()
    }
}
