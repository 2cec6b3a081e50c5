//! One connection as the server's own code sees it: it can be closed for another, and becomes known by its requests.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use antiphon_core::lock;
use antiphon_desk::Seldom;
use tokio::sync::Notify;

use super::connections::{Arrival, Connections};
use crate::settings::ConnectionBounds;

/// All connections of a server. Clones share them.
#[derive(Clone)]
pub(super) struct Visits {
    connections: Arc<Mutex<Connections<Arc<Notify>>>>,
    full: Arc<Seldom>,
}

/// One connection, as an extension of its requests. It is over when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Visit(Arc<Visited>);

struct Visited {
    number: u64,
    close: Arc<Notify>,
    visits: Visits,
}

impl Visits {
    pub(super) fn new(bounds: ConnectionBounds) -> Self {
        Self { connections: Arc::new(Mutex::new(Connections::new(bounds))), full: Arc::default() }
    }

    /// Takes a connection from this address, for which another one may have to be closed. `None` if there is no room.
    pub(super) fn arrive(&self, address: IpAddr) -> Option<Visit> {
        let close = Arc::new(Notify::new());
        let arrival = lock(&self.connections).arrive(address, Arc::clone(&close));
        let Arrival::Welcome { number, gives_way } = arrival else {
            self.warn(address, "all connections are held by clients with keys: a new one is closed");
            return None;
        };
        if let Some(gives_way) = gives_way {
            gives_way.notify_one();
            self.warn(address, "too many connections without a key: the oldest gives way to a new one");
        }
        Some(Visit(Arc::new(Visited { number, close, visits: self.clone() })))
    }

    fn warn(&self, address: IpAddr, what: &'static str) {
        if let Some(held_back) = self.full.due() {
            tracing::warn!(%address, further_ones_before = held_back, "{what}");
        }
    }
}

impl Visit {
    /// The connection has shown a key or a signature. Returns false if there is no room for one more of those.
    pub(super) fn is_known(&self) -> bool {
        lock(&self.0.visits.connections).is_known(self.0.number)
    }

    /// Resolves when the connection has to give way to another.
    pub(super) async fn gives_way(&self) {
        self.0.close.notified().await;
    }
}

impl Drop for Visited {
    fn drop(&mut self) {
        lock(&self.visits.connections).leave(self.number);
    }
}
