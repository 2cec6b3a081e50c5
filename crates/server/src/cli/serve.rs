//! `antiphon serve`: builds the engines, and serves calls until it is told to stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use antiphon_agent::Engines;
use antiphon_cache::{Key, Prefetcher, SemanticReplies, private_files};
use antiphon_desk::{Calls, Keys};
use antiphon_stack::config::{Config, Effective, Network, Secret};
use antiphon_stack::{self as stack, BuildContext};
use antiphon_telemetry::{PERFORMANCE, Prices, SpanRecorder, Store, StoreError, timing};
use antiphon_transports::telephony::TelephonySettings;
use anyhow::{Context, Result};
use reqwest::Url;

use super::{call_runtime, print};
use crate::app::{App, Measuring};
use crate::capacity;
use crate::findings::Overlay;
use crate::http::{check_tls, serve, stop_signals};
use crate::jobs::caching::{Caching, Learned, prefetch_file};
use crate::jobs::reporting::{Reporting, Traces, Webhook};
use crate::logging::{log_filter, start_logging};
use crate::settings::{Settings, Tls};

/// Run the server, with its talk page.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antiphon serve\n  antiphon serve --listen 127.0.0.1:8000")]
pub(super) struct ServeArguments {
    /// Where to listen, instead of [server] listen.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

pub(super) fn run(arguments: &ServeArguments, effective: &Effective) -> Result<()> {
    let config = &effective.config;
    start_logging(config, None)?;
    for warning in &effective.warnings {
        tracing::warn!("{warning}");
    }
    check(config)?;
    let runtime = call_runtime(config)?;
    let folder = config.data_dir()?;
    let overlay = Overlay::of(&folder);
    let (store, max_calls, caches) = runtime.block_on(async {
        let (store, max_calls) = history(config, &folder).await?;
        close_to_others(config, &folder, &overlay);
        anyhow::Ok((store, max_calls, stack::caches(config).await?))
    })?;
    let settings = Settings { max_calls, ..settings(config) };
    let calls = Calls::divided(max_calls, settings.calls_each());
    let asked = calls.clone();
    let context =
        BuildContext { caches: caches.clone(), is_idle: Some(Arc::new(move || asked.leave_time())) };
    let loading = timing("startup", "engines");
    let stack = stack::build(config, &context)?;
    drop(loading);
    for line in &stack.description {
        tracing::info!("{line}");
    }
    let address = arguments.listen.unwrap_or(config.server.listen);
    let listener = std::net::TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}: is another server running there?"))?;
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let bound = listener.local_addr()?;
    runtime.block_on(async move {
        let reading = timing("startup", "knowledge");
        stack::read_knowledge(stack.knowledge.as_deref()).await?;
        drop(reading);
        let learned = if config.cache.disk {
            learned(&stack.semantic, stack.prefetcher, &folder.join("cache"))
        } else {
            Vec::new()
        };
        let semantic = stack.semantic.into_iter().map(|(_, replies)| replies).collect();
        let measuring = Measuring {
            parts: stack.components,
            requests: stack.requests,
            reporting: reporting(config, &stack.engines)?,
            prices: prices(config),
            store,
            overlay: Some(overlay),
            cpu_pool: Some(stack.cpu_pool),
            calls: Some(calls),
            caching: caches.map(|caches| Caching { caches, warm: config.cache.warm, semantic, learned }),
        };
        let app = App::new(settings, stack.agent, stack.engines, measuring)?;
        let stop = stop_signals()?;
        print(&format!("Antiphon listens on {scheme}://{bound}"));
        serve(Arc::new(app), listener, stop).await?;
        anyhow::Ok(())
    })?;
    // The engines were dropped with the app, so their threads may end as well.
    drop(stack.pool);
    Ok(())
}

/// Closes what earlier versions of the program have left open to other users of the machine. A data folder that somebody chose may be
/// shared with others, so its own rights are left alone; what this program keeps in it is closed.
fn close_to_others(config: &Config, folder: &Path, overlay: &Overlay) {
    let chosen = config.server.data_dir.is_some();
    let folder_closed = if chosen { Ok(()) } else { private_files::tighten_folder(folder) };
    if let Err(error) = folder_closed.map_err(anyhow::Error::from).and_then(|()| overlay.tighten()) {
        tracing::warn!(folder = %folder.display(), %error, "other users of this machine may be able to read the data folder");
    }
}

/// Refuses a configuration with which the server would not start, before anything is loaded. Whether the models are there and whole
/// is found out when they are loaded.
pub(super) fn check(config: &Config) -> Result<()> {
    log_filter(&config.telemetry.log)?;
    if let Some(tls) = tls(config) {
        check_tls(&tls)?;
    }
    stack::check(config)
}

/// What is learned while the server runs, beginning with what an earlier server has stored in `folder`.
fn learned(
    semantic: &[(Key, Arc<SemanticReplies>)],
    prefetcher: Option<Arc<Prefetcher>>,
    folder: &Path,
) -> Vec<Learned> {
    let semantic = semantic.iter();
    let mut learned: Vec<_> = semantic
        .map(|(id, replies)| Learned::new(replies.clone(), folder.join(format!("semantic-{id:?}"))))
        .collect();
    learned.extend(prefetcher.map(|prefetcher| Learned::new(prefetcher, prefetch_file(folder))));
    learned
}

/// The history of measurements, and the limit on calls, which may come from it. Calls do not need the history, so a server
/// whose disk is full or damaged starts without it. A file of a newer version is refused: it is sound, and whoever has gone back
/// to this version has to know.
async fn history(config: &Config, folder: &Path) -> Result<(Option<Store>, usize)> {
    let opened = async {
        let store = Store::open(folder).await?;
        let max_calls = max_calls(config, &store).await?;
        Ok::<_, StoreError>((store, max_calls))
    };
    match opened.await {
        Ok((store, max_calls)) => Ok((Some(store), max_calls)),
        Err(error @ StoreError::Newer(_)) => Err(error.into()),
        Err(error) => {
            tracing::warn!(
                file = %folder.join(PERFORMANCE).display(), %error,
                "starting without the history of measurements: make room on the disk and allow writing in the data \
                 directory; if the file is damaged, move it away"
            );
            Ok((None, config.server.limits.max_calls.unwrap_or(capacity::UNMEASURED)))
        }
    }
}

/// The limit on calls: as configured, or else as measured.
async fn max_calls(config: &Config, store: &Store) -> Result<usize, StoreError> {
    if let Some(max) = config.server.limits.max_calls {
        return Ok(max);
    }
    let Some(capacity) = capacity::find(store, &stack::engine_names(config)).await? else {
        return Ok(capacity::UNMEASURED);
    };
    tracing::info!(calls = capacity.calls, "calls at a time, as a load test on this machine found");
    Ok(capacity.calls)
}

/// The prices of tokens; `None` when nothing has a price. The prices of speech are known to the stack.
fn prices(config: &Config) -> Option<Prices> {
    let Config { stt, llm, tts, .. } = config;
    let priced = llm.input_price.is_some()
        || llm.output_price.is_some()
        || stack::listed(stt, &stt.engines).any(|stt| stt.hour_price.is_some())
        || stack::listed(tts, &tts.engines).any(|tts| tts.million_price.is_some());
    priced.then(|| Prices {
        input_million: llm.input_price.unwrap_or_default(),
        cached_million: llm.cached_price.or(llm.input_price).unwrap_or_default(),
        output_million: llm.output_price.unwrap_or_default(),
    })
}

fn reporting(config: &Config, engines: &Engines) -> Result<Reporting> {
    let telemetry = &config.telemetry;
    // The address was checked when the configuration was read.
    let address = |text: &str| text.parse::<Url>().context("an address in [telemetry] is not valid");
    let secret = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.reveal().to_owned());
    let webhook = telemetry.alert_webhook.as_ref().map(|url| {
        anyhow::Ok(Webhook { url: address(url.reveal())?, secret: secret(&telemetry.alert_webhook_secret) })
    });
    let spans = telemetry.otlp_endpoint.as_deref().map(|url| {
        // The OpenTelemetry specification appends this path to the address for traces.
        let url = address(&format!("{}/v1/traces", url.trim_end_matches('/')))?;
        let (llm, version) = (engines.llm.card(), env!("CARGO_PKG_VERSION"));
        let recorder = Arc::new(SpanRecorder::new("antiphon", version, llm.name, llm.model));
        anyhow::Ok(Traces { recorder, url, bearer: secret(&telemetry.otlp_key) })
    });
    Ok(Reporting { webhook: webhook.transpose()?, spans: spans.transpose()?, tune: telemetry.tune })
}

fn tls(config: &Config) -> Option<Tls> {
    config.server.tls.as_ref().map(|tls| Tls { cert: tls.cert.clone(), key: tls.key.clone() })
}

fn settings(config: &Config) -> Settings {
    let server = &config.server;
    Settings {
        keys: Keys::new(server.api_keys.iter().map(Secret::reveal)),
        // Whatever is no network was refused when the configuration was read.
        trusted_proxies: server.trusted_proxies.iter().filter_map(|proxy| Network::parse(proxy)).collect(),
        tls: tls(config),
        max_upload_bytes: server.limits.max_upload_mb << 20,
        max_calls_each: server.limits.max_calls_each,
        model_aliases: config
            .llm
            .model_aliases()
            .map(|(name, model)| (name.to_owned(), model.to_owned()))
            .collect(),
        drain: Duration::from_secs(server.limits.drain_s),
        telephony: TelephonySettings {
            public_url: config.telephony.public_url.as_ref().and_then(|url| url.parse().ok()),
            twilio_auth_token: config.telephony.twilio_auth_token.as_ref().map(|t| t.reveal().to_owned()),
            telnyx_public_key: config.telephony.telnyx_public_key.clone(),
            telnyx_stream_token: config.telephony.telnyx_stream_token.as_ref().map(|t| t.reveal().to_owned()),
            busy_message: config.telephony.busy_message.clone(),
        },
        ..Settings::default()
    }
}
