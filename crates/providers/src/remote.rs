//! What all remote engines share: one pooled HTTP client, bounds on every wait, answers read as they come, and errors
//! that say what the server said but never the key.

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

use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_core::{BoxStream, Error, ErrorKind, RateLimits, Result};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use tokio::time::timeout;

use crate::lock::lock;
use events::Events;
pub(crate) use events::ServerEvent;
pub use key::ApiKey;
pub(crate) use pcm::Pcm;
use refusal::Refusal;
pub(crate) use refusal::{kind_of, said};

/// The most of an error's body that is read: of JSON that is cut nothing is understood, and Google's goes into details.
const MAX_ERROR: usize = 16 << 10;
/// The most of what a server says of an error that is repeated.
const MAX_SAID: usize = 300;
/// Connections to one server that are kept although nobody uses them. A burst needs at most so many at once.
const IDLE_CONNECTIONS: usize = 64;
/// Load balancers close idle connections after a minute or more.
const IDLE_FOR: Duration = Duration::from_secs(55);

/// How long a server may take. There is no bound on a whole answer: a long one is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Until the connection stands.
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
            // A model on a busy server may read a long prompt for this long; a call gives up at the same time.
            first: Duration::from_secs(20),
            between: Duration::from_secs(20),
        }
    }
}

/// A server, and how to reach it.
#[derive(Clone)]
pub struct Remote {
    client: Client,
    /// `https://host/v1`, without a slash at the end.
    base_url: String,
    /// In errors: "the language model's server".
    who: &'static str,
    /// In errors: `[llm]`.
    section: &'static str,
    bounds: Bounds,
    limits: Arc<RateLimits>,
    /// Sent with every request.
    headers: HeaderMap,
    /// Never repeated, whatever the server says.
    key: Option<ApiKey>,
}

impl Remote {
    /// A server at `base_url`; connects when first asked.
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

    /// With other bounds on waiting.
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        // One was made in `new`; where none can be made any more, that one serves.
        self.client = client(bounds.connect).unwrap_or(self.client);
        self
    }

    /// What the server says of how much more it will take, told here.
    #[must_use]
    pub fn with_limits(mut self, limits: Arc<RateLimits>) -> Self {
        self.limits = limits;
        self
    }

    /// With a header sent with every request.
    #[must_use]
    pub(crate) fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// With a key, sent in the header `name` behind `prefix`.
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

    /// With a key that is sent otherwise.
    #[must_use]
    pub(crate) fn hiding(mut self, key: &str) -> Self {
        self.key = Some(ApiKey::new(key)).filter(|key| !key.reveal().is_empty());
        self
    }

    /// A model's name as part of a path: whoever names it must not reach another path with our key.
    pub(crate) fn in_path<'a>(&self, model: &'a str) -> Result<&'a str> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ':');
        if model.is_empty() || model.starts_with('.') || !model.chars().all(plain) {
            let section = self.section;
            return Err(Error::invalid(format!("{section} model = {model:?} is no name of a model there")));
        }
        Ok(model)
    }

    /// The bounds.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Where a WebSocket of this server is.
    pub(crate) fn socket_url(&self, path: &str) -> String {
        // `http` becomes `ws`, `https` becomes `wss`.
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

    /// Sends a request; the answer has begun and is no refusal.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let sent = timeout(self.bounds.first, request.send()).await;
        let response = sent.map_err(|_| self.late(self.bounds.first))?.map_err(|e| self.broken(&e))?;
        self.check(response).await
    }

    /// Takes note of what an answer says of limits, and turns a refusal into an error that says what the server said.
    pub(crate) async fn check(&self, response: Response) -> Result<Response> {
        if let Some(told) = rate::told(response.headers()) {
            self.limits.tell(told);
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
        Err(self.refusal(refusal.kind(status), status, &refusal.said, wait))
    }

    /// The server refused with this status, says why, and perhaps how long to wait.
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

    /// What the server said, short and without the key.
    fn repeated(&self, said: &str) -> String {
        let said = match &self.key {
            Some(key) => said.replace(key.reveal(), "(the key)"),
            None => said.to_owned(),
        };
        said.chars().take(MAX_SAID).collect()
    }

    /// The pieces of an answer. Ends after the first error.
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

    /// The server-sent events of an answer. Ends after the first error.
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

    /// The whole answer, at most `limit` bytes.
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

    /// The server did not keep to its own protocol: it sent `what`, which may quote it.
    pub(crate) fn protocol(&self, what: &str) -> Error {
        Error::new(ErrorKind::Protocol, format!("{} sent {}", self.who, self.repeated(what)))
    }

    /// The server failed in the midst of an answer, and says why.
    pub(crate) fn failed(&self, said: &str) -> Error {
        Error::unavailable(format!("{} failed: {}", self.who, self.repeated(said)))
    }

    /// The server failed in the midst of an answer, and says why in JSON, in whatever dialect.
    pub(crate) fn refused(&self, json: &Value) -> Error {
        let refusal = Refusal::read(json);
        let kind = refusal.told.unwrap_or(ErrorKind::Unavailable);
        let error = Error::new(kind, format!("{} failed: {}", self.who, self.repeated(&refusal.said)));
        refusal.wait.map_or(error.clone(), |wait| error.with_retry_after(wait))
    }

    /// The answer ended before its end.
    pub(crate) fn broke_off(&self) -> Error {
        Error::unavailable(format!("{} broke off its answer", self.who))
    }

    /// Nothing came for this long.
    pub(crate) fn late(&self, bound: Duration) -> Error {
        Error::new(ErrorKind::Timeout, format!("{} sent nothing for {:.1} s", self.who, bound.as_secs_f32()))
    }

    /// It cannot be reached.
    pub(crate) fn unreachable(&self) -> Error {
        let section = self.section;
        Error::unavailable(format!(
            "{} cannot be reached: is {section} base_url right, and is it running?",
            self.who
        ))
    }

    /// A connection's error, without the URL: it may hold a key.
    fn broken(&self, error: &reqwest::Error) -> Error {
        if error.is_connect() {
            self.unreachable()
        } else if error.is_timeout() {
            Error::new(ErrorKind::Timeout, format!("{} did not answer in time", self.who))
        } else {
            // Nothing is decompressed: what reqwest calls an error of decoding is a body that ends too early.
            Error::unavailable(format!("{} broke off the connection", self.who))
        }
    }
}

/// The client of all remote engines that connect within this bound: one pool of connections.
fn client(connect: Duration) -> Result<Client> {
    static CLIENTS: Mutex<Vec<(Duration, Client)>> = Mutex::new(Vec::new());
    let mut clients = lock(&CLIENTS);
    if let Some((_, client)) = clients.iter().find(|(bound, _)| *bound == connect) {
        return Ok(client.clone());
    }
    crypto();
    let client = Client::builder()
        // No API redirects, and a key in a header of its own would go along.
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

/// Installs the cryptography that TLS uses.
pub(crate) fn crypto() {
    // Whoever was first has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
