//! The connections that read while another one writes.

use std::sync::Mutex;

use antiphon_core::lock;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::failure::{Cause, DiskFailure};

/// A few connections, each with a thread of its own. sqlx's pool would do, but it checks every connection that is returned, which
/// costs as much as the query did.
pub(super) struct Readers {
    idle: Mutex<Vec<SqliteConnection>>,
    free: Semaphore,
    /// Allows one listing at a time, since it may take long and the other connections are for calls.
    lists: Semaphore,
}

/// A connection that is borrowed for one query.
pub(super) struct Reader<'a> {
    connection: Option<SqliteConnection>,
    readers: &'a Readers,
    _permit: SemaphorePermit<'a>,
}

impl Readers {
    /// The number of connections: two for calls, so that one slow read does not hold up the others, and one for a listing.
    pub(super) const COUNT: usize = 3;

    pub(super) fn new(connections: Vec<SqliteConnection>) -> Self {
        Self {
            free: Semaphore::new(connections.len()),
            idle: Mutex::new(connections),
            lists: Semaphore::new(1),
        }
    }

    /// Waits for a free connection.
    pub(super) async fn one(&self) -> Result<Reader<'_>, DiskFailure> {
        let permit = self.free.acquire().await.map_err(|_| closed())?;
        let connection = lock(&self.idle).pop();
        Ok(Reader { connection, readers: self, _permit: permit })
    }

    /// Waits for the permit to list, which is to be kept while listing.
    pub(super) async fn list(&self) -> Result<SemaphorePermit<'_>, DiskFailure> {
        self.lists.acquire().await.map_err(|_| closed())
    }

    /// Closes the connections once their present queries are done; afterwards none can be borrowed.
    pub(super) async fn close(&self) {
        self.lists.close();
        let all = self.free.acquire_many(Self::COUNT as u32).await;
        self.free.close();
        drop(all);
        let idle = std::mem::take(&mut *lock(&self.idle));
        for connection in idle {
            // A connection that cannot be closed properly is closed by dropping it.
            let _ = connection.close().await;
        }
    }
}

impl Reader<'_> {
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, DiskFailure> {
        self.connection.as_mut().ok_or_else(closed)
    }
}

impl Drop for Reader<'_> {
    /// Returns the connection before the permit is released, so that whoever gets the permit finds a connection. A query that
    /// was cancelled ends on the connection's own thread before the next one begins.
    fn drop(&mut self) {
        lock(&self.readers.idle).extend(self.connection.take());
    }
}

fn closed() -> DiskFailure {
    DiskFailure { cause: Cause::Disk, message: "it was closed".to_owned() }
}
