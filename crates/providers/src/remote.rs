//! What all engines of vendors share: one pooled HTTP client, bounds on every wait, answers that are read as they
//! arrive, and errors that quote the server but never contain the key.

pub(crate) mod chat;
mod date;
mod events;
mod key;
pub(crate) mod listening;
mod pcm;
mod rate;
mod refusal;
#[cfg(test)]
pub(crate) mod scripted;
pub(crate) mod socket;
pub(crate) mod speech;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod turns;
mod unreachable;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_core::{BoxStream, Error, ErrorKind, RateLimits, Result, lock};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use tokio::time::timeout;

use events::Events;
pub(crate) use events::ServerEvent;
pub use key::ApiKey;
pub(crate) use pcm::Pcm;
use refusal::Refusal;
pub(crate) use refusal::{kind_of, said};

/// The most bytes of an error's body that are read. JSON that is cut cannot be parsed, and
/// Google's errors are detailed.
const MAX_ERROR: usize = 16 << 10;
/// The most characters of a server's error message that are quoted.
const MAX_SAID: usize = 300;
/// Idle connections to one server that are kept open for the next burst of requests.
const IDLE_CONNECTIONS: usize = 64;
/// How long an idle connection is kept. Load balancers close them after a minute or more, and a request on a connection
/// that is being closed fails.
const IDLE_FOR: Duration = Duration::from_secs(55);

/// How long a server may take. A whole answer has no bound, because a long answer is not a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Until the connection is established.
    pub connect: Duration,
    /// From the request until the answer begins.
    pub first: Duration,
    /// Between two pieces of the answer.
    pub between: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            // A model on a busy server may take this long to read a long prompt. A call gives up at the same time.
            first: Duration::from_secs(20),
            between: Duration::from_secs(20),
        }
    }
}

/// A server of a vendor, and how to reach it.
#[derive(Clone)]
pub struct Remote {
    client: Client,
    /// `https://host/v1`, without a slash at the end.
    base_url: String,
    /// The name of the server in errors, such as "the language model's server".
    who: &'static str,
    /// The section of the configuration that errors refer to, such as `[llm]`.
    section: &'static str,
    bounds: Bounds,
    limits: Arc<RateLimits>,
    /// Headers that are sent with every request.
    headers: HeaderMap,
    /// Removed from everything that is quoted of the server.
    key: Option<ApiKey>,
}

impl Remote {
    /// A server at `base_url`. The first request connects.
    pub fn new(base_url: &str, who: &'static str, section: &'static str) -> Result<Self> {
        let parsed = reqwest::Url::parse(base_url)
            .map_err(|_| Error::invalid(format!("{section} base_url = \"{base_url}\" is no URL")))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(Error::invalid(format!(
                "{section} base_url = \"{base_url}\" must be http:// or https://"
            )));
        }
        let bounds = Bounds::default();
        Ok(Self {
            client: client(bounds.connect)?,
            base_url: base_url.trim_end_matches('/').to_owned(),
            who,
            section,
            bounds,
            limits: Arc::default(),
            headers: HeaderMap::new(),
            key: None,
        })
    }

    /// With these bounds on waiting.
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        // If no other client can be made, the one from `new` is kept.
        self.client = client(bounds.connect).unwrap_or(self.client);
        self
    }

    /// Reports the rate limits that the server sends to `limits`.
    #[must_use]
    pub fn with_limits(mut self, limits: Arc<RateLimits>) -> Self {
        self.limits = limits;
        self
    }

    /// With a header that is sent with every request.
    #[must_use]
    pub(crate) fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// With a key, which is sent in the header `name` after `prefix`.
    pub(crate) fn with_key(mut self, name: &'static str, prefix: &str, key: &ApiKey) -> Result<Self> {
        let refused = || {
            let section = self.section;
            Error::invalid(format!("{section} api_key is empty or holds characters that no header can"))
        };
        let text = Some(key.reveal()).filter(|text| !text.is_empty()).ok_or_else(refused)?;
        let mut value = HeaderValue::from_str(&format!("{prefix}{text}")).map_err(|_| refused())?;
        value.set_sensitive(true);
        self.headers.insert(HeaderName::from_static(name), value);
        self.key = Some(key.clone());
        Ok(self)
    }

    /// A model's name as part of a path. A request names the model, and must not reach another path with our key.
    pub(crate) fn in_path<'a>(&self, model: &'a str) -> Result<&'a str> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ':');
        if model.is_empty() || model.starts_with('.') || !model.chars().all(plain) {
            let section = self.section;
            return Err(Error::invalid(format!("{section} model = {model:?} is no name of a model there")));
        }
        Ok(model)
    }

    /// The bounds on waiting.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The URL of a WebSocket of this server.
    pub(crate) fn socket_url(&self, path: &str) -> String {
        // The scheme `http` becomes `ws`, `https` becomes `wss`.
        format!("ws{}{path}", self.base_url.trim_start_matches("http"))
    }

    /// A POST to `path`, which begins with a slash.
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.base_url)).headers(self.headers.clone())
    }

    /// A GET of `path`, which begins with a slash.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base_url)).headers(self.headers.clone())
    }

    /// Sends a request and waits for the beginning of the answer. An answer with an error status becomes an error.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let sent = timeout(self.bounds.first, request.send()).await;
        let response = sent.map_err(|_| self.late(self.bounds.first))?.map_err(|e| self.broken(&e))?;
        self.check(response).await
    }

    /// Reports the rate limits in an answer, and turns an error status into an error that quotes the server.
    pub(crate) async fn check(&self, response: Response) -> Result<Response> {
        if let Some(limit) = rate::limit(response.headers()) {
            self.limits.tell(limit);
        }
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = rate::retry_after(response.headers());
        let mut body = Vec::new();
        let mut bytes = response.bytes_stream();
        while body.len() < MAX_ERROR
            && let Ok(Some(Ok(chunk))) = timeout(self.bounds.connect, bytes.next()).await
        {
            body.extend_from_slice(&chunk);
        }
        let refusal = Refusal::parse(&body);
        let wait = wait.or(refusal.wait);
        Err(self.refusal(refusal.kind(status), status, &refusal.message, wait))
    }

    /// The error for this status, with the server's message and the wait it asks for.
    pub(crate) fn answered_with(&self, status: StatusCode, said: &str, wait: Option<Duration>) -> Error {
        self.refusal(kind_of(status), status, said, wait)
    }

    fn refusal(&self, kind: ErrorKind, status: StatusCode, said: &str, wait: Option<Duration>) -> Error {
        let message = format!("{} answered {status} {}", self.who, self.repeated(said));
        let error = Error::new(kind, message.trim_end());
        match wait {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }

    /// A message of the server, shortened and without the key.
    fn repeated(&self, said: &str) -> String {
        let said = match &self.key {
            Some(key) => said.replace(key.reveal(), "(the key)"),
            None => said.to_owned(),
        };
        said.chars().take(MAX_SAID).collect()
    }

    /// The pieces of an answer as they arrive. Ends after the first error.
    pub(crate) fn pieces(&self, response: Response) -> BoxStream<'static, Result<Bytes>> {
        let (this, bytes) = (self.clone(), Some(response.bytes_stream().boxed()));
        stream::unfold(bytes, move |bytes| {
            let this = this.clone();
            async move {
                let mut bytes = bytes?;
                match timeout(this.bounds.between, bytes.next()).await {
                    Err(_) => Some((Err(this.late(this.bounds.between)), None)),
                    Ok(Some(Err(error))) => Some((Err(this.broken(&error)), None)),
                    Ok(Some(Ok(piece))) => Some((Ok(piece), Some(bytes))),
                    Ok(None) => None,
                }
            }
        })
        .boxed()
    }

    /// The server-sent events of an answer as they arrive. Ends after the first error.
    pub(crate) fn events(&self, response: Response) -> BoxStream<'static, Result<ServerEvent>> {
        let reading = Some((self.pieces(response), Events::default()));
        stream::unfold(reading, |reading| async move {
            let (mut pieces, mut events) = reading?;
            loop {
                if let Some(event) = events.pop() {
                    return Some((Ok(event), Some((pieces, events))));
                }
                match pieces.next().await? {
                    Ok(piece) => {
                        if let Err(error) = events.push(&piece) {
                            return Some((Err(error), None));
                        }
                    }
                    Err(error) => return Some((Err(error), None)),
                }
            }
        })
        .boxed()
    }

    /// The whole answer; an error if it has more than `limit` bytes.
    pub(crate) async fn whole(&self, response: Response, limit: usize) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        let mut pieces = self.pieces(response);
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece?);
            if body.len() > limit {
                return Err(self.protocol(&format!("an answer of more than {limit} bytes")));
            }
        }
        Ok(body)
    }

    /// The error for a server that violates its protocol: it sent `what`, which may quote the server.
    pub(crate) fn protocol(&self, what: &str) -> Error {
        Error::new(ErrorKind::Protocol, format!("{} sent {}", self.who, self.repeated(what)))
    }

    /// The error for a server that fails in the middle of an answer, with its message.
    pub(crate) fn failed(&self, said: &str) -> Error {
        Error::unavailable(format!("{} failed: {}", self.who, self.repeated(said)))
    }

    /// The error for a server that fails in the middle of an answer, with its message in JSON of any vendor.
    pub(crate) fn refused(&self, json: &Value) -> Error {
        let refusal = Refusal::read(json);
        let kind = refusal.code.unwrap_or(ErrorKind::Unavailable);
        let error = Error::new(kind, format!("{} failed: {}", self.who, self.repeated(&refusal.message)));
        refusal.wait.map_or(error.clone(), |wait| error.with_retry_after(wait))
    }

    /// The error for an answer that is incomplete.
    pub(crate) fn broke_off(&self) -> Error {
        Error::unavailable(format!("{} broke off its answer", self.who))
    }

    /// The error for a server that sent nothing for this long.
    pub(crate) fn late(&self, bound: Duration) -> Error {
        Error::new(ErrorKind::Timeout, format!("{} sent nothing for {:.1} s", self.who, bound.as_secs_f32()))
    }

    /// The error for a server that cannot be reached, for the reason in the causes of `error`.
    pub(crate) fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        let (section, why) = (self.section, unreachable::why(error));
        Error::unavailable(format!(
            "{} cannot be reached, because {why}: is {section} base_url right, and is it running?",
            self.who
        ))
    }

    /// The error for a failed connection. It does not contain the URL, which may hold a key.
    fn broken(&self, error: &reqwest::Error) -> Error {
        if error.is_connect() {
            self.unreachable(error)
        } else if error.is_timeout() {
            Error::new(ErrorKind::Timeout, format!("{} did not answer in time", self.who))
        } else {
            // Nothing is decompressed here, so an error of decoding means that the body ended too early.
            Error::unavailable(format!("{} broke off the connection", self.who))
        }
    }
}

/// The HTTP client of all engines with this bound on connecting. They share one pool of connections.
fn client(connect: Duration) -> Result<Client> {
    static CLIENTS: Mutex<Vec<(Duration, Client)>> = Mutex::new(Vec::new());
    let mut clients = lock(&CLIENTS);
    if let Some((_, client)) = clients.iter().find(|(bound, _)| *bound == connect) {
        return Ok(client.clone());
    }
    crypto();
    let client = Client::builder()
        // The APIs do not redirect, and a key in a vendor's own header would be sent to the new address.
        .redirect(Policy::none())
        .connect_timeout(connect)
        .tcp_nodelay(true)
        .tcp_keepalive(IDLE_FOR)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE_FOR)
        .build()
        .map_err(|e| Error::internal(format!("cannot make an HTTP client: {e}")))?;
    clients.push((connect, client.clone()));
    Ok(client)
}

/// Installs the cryptography for TLS.
pub(crate) fn crypto() {
    // An error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
