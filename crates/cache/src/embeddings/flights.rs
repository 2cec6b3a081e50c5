//! The texts that are being embedded, and the requests that wait for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use antiphon_core::{Priority, Result, lock};
use bytes::Bytes;
use tokio::sync::watch;

use crate::Key;

/// Receives a text's vector or an error; it closes without one if the request that embeds the text is cancelled.
pub(super) type Landing = watch::Receiver<Option<Result<Bytes>>>;

/// The texts that are being embedded.
#[derive(Default)]
pub(super) struct Flights(pub(super) Mutex<HashMap<Key, Flight>>);

pub(super) struct Flight {
    priority: Priority,
    landing: Landing,
}

/// What a request has to do about a text.
pub(super) enum Place {
    /// This request has to embed the text.
    Lead(Lead),
    /// This request waits for the vector from another one that embeds the text.
    Follow(Landing),
}

/// The task of embedding a text. When it is dropped, another request may take over.
pub(super) struct Lead {
    flights: Arc<Flights>,
    key: Key,
    landing: watch::Sender<Option<Result<Bytes>>>,
}

impl Flights {
    /// Follows a request that embeds the text and is at least as urgent; leads if there is none, or if `alone`.
    pub(super) fn enter(self: &Arc<Self>, key: Key, priority: Priority, alone: bool) -> Place {
        let mut flights = lock(&self.0);
        if let Some(flight) = flights.get(&key)
            && flight.priority <= priority
            && !alone
        {
            return Place::Follow(flight.landing.clone());
        }
        let (sender, landing) = watch::channel(None);
        flights.insert(key, Flight { priority, landing });
        Place::Lead(Lead { flights: Arc::clone(self), key, landing: sender })
    }
}

impl Lead {
    /// Passes the outcome on to the requests that wait.
    pub(super) fn land(self, outcome: Result<Bytes>) {
        self.landing.send_replace(Some(outcome));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut flights = lock(&self.flights.0);
        // A more urgent request may have taken its place.
        if flights.get(&self.key).is_some_and(|flight| flight.landing.same_channel(&self.landing.subscribe()))
        {
            flights.remove(&self.key);
        }
    }
}
