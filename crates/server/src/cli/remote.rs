//! Requests to the running server.

use std::time::Duration;

use antiphon_stack::config::Config;
use anyhow::{Context, Result, bail};
use reqwest::{Client, Method, Url};

/// How long the server may take to answer before it counts as unreachable.
const PATIENCE: Duration = Duration::from_secs(5);

/// The option that says which server is asked.
#[derive(clap::Args)]
pub(super) struct Server {
    /// The server, instead of [server] listen.
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
}

/// The running server, with the key that its requests carry.
pub(super) struct Remote {
    client: Client,
    base: String,
    key: Option<String>,
}

impl Server {
    /// Prepares requests to this server, with the first key of the configuration.
    pub(super) fn open(&self, config: &Config) -> Result<Remote> {
        // An error means that another provider is installed already, which is just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let scheme = if config.server.tls.is_some() { "https" } else { "http" };
        let base = self.url.clone().unwrap_or_else(|| format!("{scheme}://{}", config.server.listen));
        Ok(Remote {
            client: Client::builder().connect_timeout(PATIENCE).build()?,
            base: base.trim_end_matches('/').to_owned(),
            key: config.server.api_keys.first().map(|key| key.reveal().to_owned()),
        })
    }
}

impl Remote {
    /// Sends a GET request that the server answers immediately.
    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<String> {
        self.ask(Method::GET, path, query, None, PATIENCE).await
    }

    /// Sends a request that the server answers within `patience`.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<serde_json::Value>,
        patience: Duration,
    ) -> Result<String> {
        let base = &self.base;
        let url = Url::parse_with_params(&format!("{base}{path}"), query)
            .with_context(|| format!("{base} is not the address of a server"))?;
        let request = self.client.request(method, url).timeout(patience);
        let request = match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request
            .send()
            .await
            .with_context(|| format!("{base} does not answer: is the server running?"))?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            let problem: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            bail!("{}", problem["detail"].as_str().unwrap_or(status.as_str()));
        }
        Ok(text)
    }
}
