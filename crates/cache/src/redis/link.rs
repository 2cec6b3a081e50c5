//! The connection to Redis: opened, watched and opened again in the background, so that nobody waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_core::{Error, ErrorKind, Result, lock};
use antiphon_flow::{Breaker, BreakerState, Ticket};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult, cmd};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::address;

/// How long a get may take: a cache waits 20 ms for a layer, so a later answer is of no use.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_millis(15);
/// How long connecting may take: a distant Redis with TLS needs a few hundred milliseconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How often Redis is pinged, so that a connection that broke while nobody used it is replaced before somebody does.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The time from a failure, or from the first success after an outage, to the next probe.
const RETRY: Duration = Duration::from_millis(100);
/// Requests that may wait to be sent; further callers wait for room, within their own bound.
const WAITING: usize = 1_024;

/// The connection, and whether Redis works.
pub(super) struct Link {
    client: Client,
    /// The name in errors and logs: "Redis at localhost:6379".
    name: Arc<str>,
    breaker: Arc<Breaker>,
    line: Mutex<Line>,
    lost: Notify,
    failures: AtomicU64,
}

#[derive(Default)]
struct Line {
    connection: Option<MultiplexedConnection>,
    /// How many connections were opened: the serial of the present one.
    opened: u64,
    /// When the breaker was last told of a failure.
    failed: Option<Instant>,
}

impl Line {
    /// Whether a request that began at `began` and failed `now` says more than the failure before: whether it began after it.
    fn is_news(&mut self, began: Instant, now: Instant) -> bool {
        let is_news = self.failed.is_none_or(|failed| failed <= began);
        if is_news {
            self.failed = Some(now);
        }
        is_news
    }
}

impl Link {
    /// A link that is not connected yet: [`Self::keep`] connects.
    pub(super) fn new(url: &str) -> Result<Self> {
        // TLS needs a cryptography provider. An error means that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = address::client(url)?;
        let name: Arc<str> = format!("Redis at {}", client.get_connection_info().addr()).into();
        let breaker = Arc::new(Breaker::new(name.clone()));
        let (line, lost, failures) = (Mutex::default(), Notify::new(), AtomicU64::new(0));
        Ok(Self { client, name, breaker, line, lost, failures })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Requests, connections and pings that failed or were answered too late.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Connections opened after the first.
    pub(super) fn reconnects(&self) -> u64 {
        lock(&self.line).opened.saturating_sub(1)
    }

    /// Makes a request if Redis works at present. The breaker is told whether it is answered within the bound.
    pub(super) async fn ask<T, F>(
        &self,
        within: Duration,
        request: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        self.working()?;
        let away = || Error::unavailable(format!("{} is not connected at present", self.name));
        let (connection, serial) = self.connected().ok_or_else(away)?;
        let ticket = self.breaker.allow(Instant::now())?;
        self.watch(request(connection), within, ticket, serial).await
    }

    /// An error unless the breaker is closed: requests are not used as probes, because a probe may take long.
    pub(super) fn working(&self) -> Result<()> {
        match self.state() {
            BreakerState::Closed => Ok(()),
            _ => Err(Error::unavailable(format!("{} does not work at present", self.name))),
        }
    }

    /// A separate connection, for requests that would hold up others.
    pub(super) async fn connect(&self) -> Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(WAITING);
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        connected.map_err(|error| self.error(&error))
    }

    pub(super) fn error(&self, error: &redis::RedisError) -> Error {
        address::error(&self.name, error)
    }

    /// Keeps the connection open, for ever: connects, pings, and connects again.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut away: Option<Instant> = None;
        loop {
            let pause = match self.breaker.allow(Instant::now()) {
                Ok(ticket) => self.probe(ticket).await,
                Err(error) => {
                    if away.is_none() {
                        tracing::warn!("{error}; caches go on without it");
                        away = Some(Instant::now());
                    }
                    error.retry_after().unwrap_or(RETRY)
                }
            };
            if self.state() == BreakerState::Closed
                && let Some(since) = away.take()
            {
                tracing::info!(away_s = since.elapsed().as_secs(), "{} works again", self.name);
            }
            let _ = timeout(pause, self.lost.notified()).await;
        }
    }

    /// Connects if necessary and pings Redis; gives how long to wait before the next probe.
    async fn probe(&self, ticket: Ticket) -> Duration {
        let began = Instant::now();
        let (mut connection, serial) = match self.connected() {
            Some(connected) => connected,
            None => match self.connect().await {
                Ok(connection) => self.set_connection(connection),
                Err(error) => {
                    self.failed(ticket, &error, began);
                    return RETRY;
                }
            },
        };
        let ping = async { cmd("PING").exec_async(&mut connection).await };
        let alive = self.watch(ping, ANSWER_WITHIN, ticket, serial).await;
        if alive.is_ok() && self.state() == BreakerState::Closed { HEARTBEAT } else { RETRY }
    }

    /// Waits for an answer and tells the breaker whether it came in time.
    async fn watch<T>(
        &self,
        answer: impl Future<Output = RedisResult<T>>,
        within: Duration,
        ticket: Ticket,
        serial: u64,
    ) -> Result<T> {
        let began = Instant::now();
        let (error, broken) = match timeout(within, answer).await {
            Ok(Ok(answer)) => {
                ticket.ok(Instant::now());
                return Ok(answer);
            }
            Ok(Err(error)) => (self.error(&error), error.is_unrecoverable_error()),
            Err(_) => {
                let late = format!("{} did not answer within {} ms", self.name, within.as_millis());
                (Error::new(ErrorKind::Timeout, late), false)
            }
        };
        self.failed(ticket, &error, began);
        // The connection may be what made the breaker open, so the next probe uses a new one.
        if broken || self.state() != BreakerState::Closed {
            self.disconnect(serial);
        }
        Err(error)
    }

    /// Counts a failure. A short stall or a lost connection fails all requests under way, perhaps a hundred: the breaker is told
    /// only once.
    fn failed(&self, ticket: Ticket, error: &Error, began: Instant) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        if lock(&self.line).is_news(began, now) {
            ticket.failed(error, now);
        }
    }

    fn connected(&self) -> Option<(MultiplexedConnection, u64)> {
        let line = lock(&self.line);
        Some((line.connection.clone()?, line.opened))
    }

    fn set_connection(&self, connection: MultiplexedConnection) -> (MultiplexedConnection, u64) {
        let mut line = lock(&self.line);
        line.opened += 1;
        line.connection = Some(connection.clone());
        (connection, line.opened)
    }

    /// Gives up the connection of this serial; a later one stays.
    fn disconnect(&self, serial: u64) {
        let mut line = lock(&self.line);
        if line.opened == serial && line.connection.take().is_some() {
            self.lost.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_see_at_once_counts_once() {
        let (mut line, start) = (Line::default(), Instant::now());
        let ms = |ms| start + Duration::from_millis(ms);
        assert!(line.is_news(ms(0), ms(15)));
        assert!(!line.is_news(ms(0), ms(15)) && !line.is_news(ms(14), ms(29)), "they were under way then");
        assert!(line.is_news(ms(15), ms(30)), "this one began after it");
    }
}
