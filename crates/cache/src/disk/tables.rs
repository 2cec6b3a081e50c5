//! The statements for the database. None changes more than [`STEP`] entries, so that none takes long.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Executor, Row};

use super::super::entry::AHEAD_MS;
use super::super::{Entry, Key, Kind, Selection, Usage};

/// Entries that are removed in one step.
pub(super) const STEP: usize = 128;
/// Gives up to 256 free pages (2 MiB) back to the file system.
const GIVE_BACK: &str = "PRAGMA incremental_vacuum(256)";
/// Writes the whole log into the database and cuts it to nothing. Gives whether it could not, because somebody reads.
const CUT_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
/// Free pages that are kept for the next entries.
const LOOSE: u64 = 1_024;

/// A change of the database.
pub(super) enum Change {
    Put(Arc<Entry>),
    Remove(Vec<i64>),
}

/// An entry as it is stored.
pub(super) struct Kept {
    pub(super) id: i64,
    pub(super) used_ms: u64,
    pub(super) bytes: Bytes,
}

impl Kept {
    /// Reads a row. A column of an unexpected type is read as empty, so that the entry counts as damaged.
    fn from_row(row: &SqliteRow) -> Self {
        Self {
            id: row.try_get("id").unwrap_or_default(),
            used_ms: row.try_get::<i64, _>("used_ms").unwrap_or_default() as u64,
            bytes: row.try_get::<Vec<u8>, _>("bytes").unwrap_or_default().into(),
        }
    }

    /// The entry, if it is undamaged and stored under its own id.
    pub(super) fn entry(&self) -> Option<Arc<Entry>> {
        let entry = Entry::from_bytes(&self.bytes)?;
        (self.id == id(entry.kind, &entry.key)).then(|| Arc::new(entry))
    }
}

/// The size of the file and how much of it is in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pages: u64,
    free: u64,
    page_bytes: u64,
}

impl Size {
    /// The bytes that entries and indexes take.
    pub(super) fn used_bytes(self) -> u64 {
        self.pages.saturating_sub(self.free) * self.page_bytes
    }

    /// Whether more is free than the next entries will need soon.
    pub(super) fn is_loose(self) -> bool {
        self.free > LOOSE.max(self.pages / 8)
    }
}

/// The id of an entry: its kind and 62 bits of its key. Two entries with the same id, should that ever happen, replace each
/// other; the whole key is in the entry and is compared.
pub(super) fn id(kind: Kind, key: &Key) -> i64 {
    ((kind as u64) << 62 | key.short() & (u64::MAX >> 2)) as i64
}

/// A time as SQLite stores it; one that is too large becomes the largest.
fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// The latest time at which an entry can have been used, if no clock was wrong.
fn latest(now_ms: u64) -> i64 {
    signed(now_ms.saturating_add(AHEAD_MS))
}

pub(super) async fn find(connection: &mut SqliteConnection, id: i64) -> sqlx::Result<Option<Kept>> {
    let select = "SELECT entries.id AS id, used_ms, bytes FROM entries JOIN bodies ON bodies.id = body
        WHERE entries.id = ?";
    let row = sqlx::query(select).bind(id).fetch_optional(connection).await?;
    Ok(row.as_ref().map(Kept::from_row))
}

/// The selected entries that are fresh, the latest used first.
pub(super) async fn list(
    connection: &mut SqliteConnection,
    selection: &Selection,
    limit: usize,
    now_ms: u64,
) -> sqlx::Result<Vec<Kept>> {
    // The unary plus keeps SQLite from using the index on expires_ms and then sorting everything it finds.
    let select = "SELECT entries.id AS id, used_ms, bytes FROM entries JOIN bodies ON bodies.id = body
        WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR tenant = ?2) AND (?3 IS NULL OR expires_ms <= ?3)
        AND +expires_ms > ?4 AND used_ms <= ?6 ORDER BY used_ms DESC LIMIT ?5";
    let rows = sqlx::query(select)
        .bind(selection.kind.map(|kind| kind as i64))
        .bind(selection.tenant.as_deref())
        .bind(selection.expired_ms.map(signed))
        .bind(signed(now_ms))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(latest(now_ms))
        .fetch_all(connection)
        .await?;
    Ok(rows.iter().map(Kept::from_row).collect())
}

pub(super) async fn usage(connection: &mut SqliteConnection, kind: Kind) -> sqlx::Result<Usage> {
    let select = "SELECT entries, bytes FROM totals WHERE kind = ?";
    let row: Option<(i64, i64)> = sqlx::query_as(select).bind(kind as i64).fetch_optional(connection).await?;
    let (entries, bytes) = row.unwrap_or_default();
    Ok(Usage { entries: entries.max(0) as u64, bytes: bytes.max(0) as u64 })
}

pub(super) async fn size(connection: &mut SqliteConnection) -> sqlx::Result<Size> {
    let select = "SELECT page_count, freelist_count, page_size
        FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    let (pages, free, page_bytes): (i64, i64, i64) = sqlx::query_as(select).fetch_one(connection).await?;
    Ok(Size { pages: pages as u64, free: free as u64, page_bytes: page_bytes as u64 })
}

/// Makes all of the changes, or none. `used`: when entries were last used.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    changes: &[Change],
    used: &HashMap<i64, u64>,
    now_ms: u64,
) -> sqlx::Result<()> {
    // Not sqlx's transactions: SQLite ends a transaction by itself when the disk is full, which sqlx would not notice.
    connection.execute("BEGIN IMMEDIATE").await?;
    let done = apply(connection, changes, used, now_ms).await;
    let ended = connection.execute(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    if done.is_ok() && ended.is_err() {
        let _ = connection.execute("ROLLBACK").await;
    }
    done.and(ended.map(drop))
}

async fn apply(
    connection: &mut SqliteConnection,
    changes: &[Change],
    used: &HashMap<i64, u64>,
    now_ms: u64,
) -> sqlx::Result<()> {
    for (id, used_ms) in used {
        let update = sqlx::query("UPDATE entries SET used_ms = ?2 WHERE id = ?1 AND used_ms < ?2");
        update.bind(id).bind(signed(*used_ms)).execute(&mut *connection).await?;
    }
    for change in changes {
        match change {
            Change::Put(entry) => put(connection, entry, now_ms).await?,
            Change::Remove(ids) => {
                for id in ids {
                    let delete = sqlx::query("DELETE FROM entries WHERE id = ?").bind(id);
                    delete.execute(&mut *connection).await?;
                }
            }
        }
    }
    Ok(())
}

async fn put(connection: &mut SqliteConnection, entry: &Entry, now_ms: u64) -> sqlx::Result<()> {
    let insert = "DELETE FROM entries WHERE id = ?;
        INSERT INTO bodies (bytes) VALUES (?);
        INSERT INTO entries (id, kind, tenant, expires_ms, used_ms, size, body)
            VALUES (?, ?, ?, ?, ?, ?, last_insert_rowid())";
    let (id, bytes) = (id(entry.kind, &entry.key), entry.to_bytes());
    let size = bytes.len() as i64;
    let insert = sqlx::query(insert).bind(id).bind(bytes);
    let insert = insert.bind(id).bind(entry.kind as i64).bind(&*entry.tenant);
    insert.bind(signed(entry.expires_ms)).bind(signed(now_ms)).bind(size).execute(connection).await?;
    Ok(())
}

/// Removes a step of the least recently used entries; gives how many.
pub(super) async fn evict(connection: &mut SqliteConnection) -> sqlx::Result<u64> {
    let delete = "DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY used_ms LIMIT ?)";
    Ok(sqlx::query(delete).bind(STEP as i64).execute(connection).await?.rows_affected())
}

/// Removes a step of entries that are expired, or were used in the future: then a clock was wrong, and they would be the last to be
/// evicted. Gives how many.
pub(super) async fn expire(connection: &mut SqliteConnection, now_ms: u64) -> sqlx::Result<u64> {
    let delete = "DELETE FROM entries WHERE id IN
        (SELECT id FROM entries WHERE expires_ms <= ? OR used_ms > ? LIMIT ?)";
    let delete = sqlx::query(delete).bind(signed(now_ms)).bind(latest(now_ms)).bind(STEP as i64);
    Ok(delete.execute(connection).await?.rows_affected())
}

/// Removes a step of the selected entries, from id `from` on; gives their ids.
pub(super) async fn clear(
    connection: &mut SqliteConnection,
    selection: &Selection,
    from: i64,
) -> sqlx::Result<Vec<i64>> {
    let delete = "DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE id >= ?1
        AND (?2 IS NULL OR kind = ?2) AND (?3 IS NULL OR tenant = ?3) AND (?4 IS NULL OR expires_ms <= ?4)
        ORDER BY id LIMIT ?5) RETURNING id";
    sqlx::query_scalar(delete)
        .bind(from)
        .bind(selection.kind.map(|kind| kind as i64))
        .bind(selection.tenant.as_deref())
        .bind(selection.expired_ms.map(signed))
        .bind(STEP as i64)
        .fetch_all(connection)
        .await
}

/// Gives some free pages back to the file system.
pub(super) async fn give_back(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    connection.execute(GIVE_BACK).await?;
    Ok(())
}

/// Cuts the log, which holds what was written lately, also if it has been removed since. False if it is in use.
pub(super) async fn cut_log(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    let row = connection.fetch_one(CUT_LOG).await?;
    Ok(row.try_get::<i64, _>(0)? == 0)
}
