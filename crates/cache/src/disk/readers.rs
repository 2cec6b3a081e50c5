//! Connections that read while one elsewhere writes.

use std::sync::{Mutex, PoisonError};

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::trouble::{Cause, Trouble};

/// A few connections, each with a thread of its own. sqlx's pool would do, but asks every connection that comes back
/// whether it is still there, which costs as much as the query did.
pub(super) struct Readers {
    idle: Mutex<Vec<SqliteConnection>>,
    free: Semaphore,
    /// One list at a time: it may take long, and the other connections are for calls.
    lists: Semaphore,
}

/// A connection, for one query.
pub(super) struct Reader<'a> {
    connection: Option<SqliteConnection>,
    readers: &'a Readers,
    _permit: SemaphorePermit<'a>,
}

impl Readers {
    /// Two for calls, so that one slow read holds nobody up, and one for a list.
    pub(super) const COUNT: usize = 3;

    pub(super) fn new(connections: Vec<SqliteConnection>) -> Self {
        Self {
            free: Semaphore::new(connections.len()),
            idle: Mutex::new(connections),
            lists: Semaphore::new(1),
        }
    }

    /// A connection, as soon as there is one.
    pub(super) async fn one(&self) -> Result<Reader<'_>, Trouble> {
        let permit = self.free.acquire().await.map_err(|_| closed())?;
        let connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(Reader { connection, readers: self, _permit: permit })
    }

    /// The right to list, to be kept while doing so.
    pub(super) async fn list(&self) -> Result<SemaphorePermit<'_>, Trouble> {
        self.lists.acquire().await.map_err(|_| closed())
    }

    /// Ends the connections when what they are at is done; from then on there are none.
    pub(super) async fn close(&self) {
        self.lists.close();
        let all = self.free.acquire_many(Self::COUNT as u32).await;
        self.free.close();
        drop(all);
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in idle {
            // One that cannot be closed is dropped, which closes it.
            let _ = connection.close().await;
        }
    }
}

impl Reader<'_> {
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, Trouble> {
        self.connection.as_mut().ok_or_else(closed)
    }
}

impl Drop for Reader<'_> {
    /// Before the permit goes, so that whoever gets that finds a connection. A query that was given up ends on the
    /// connection's own thread, before the next.
    fn drop(&mut self) {
        self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.connection.take());
    }
}

fn closed() -> Trouble {
    Trouble { cause: Cause::Disk, message: "it was closed".to_owned() }
}
