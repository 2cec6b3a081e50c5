//! `performance.db`: measurements, the older the coarser, and documents such as profiles and benchmark results.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions, Permissions, set_permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use antiphon_core::measure::Snapshot;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Row, SqlSafeStr, Sqlite, Transaction};

use crate::history::{Key, Period, Spans};

/// The name of the database in the data directory.
pub const PERFORMANCE: &str = "performance.db";
/// Length of the periods that are stored, and how long they are kept.
const RESOLUTIONS: [(Duration, Duration); 3] = [
    (Duration::from_mins(1), Duration::from_hours(24)),
    (Duration::from_mins(10), Duration::from_hours(14 * 24)),
    (Duration::from_hours(1), Duration::from_hours(400 * 24)),
];
/// Most periods in one answer, as long as there is a coarser resolution. A chart cannot show more, and reading more
/// would take CPU time from calls.
const MAX_PERIODS: u64 = 400;
/// Most documents that are kept of one kind, subject and machine.
const MAX_DOCUMENTS: i64 = 1_000;
/// How long to wait for another process that is writing, such as a benchmark beside the server.
const BUSY: Duration = Duration::from_secs(10);

/// Rights of the database: only its owner may read and write it. What calls did at what time is nobody else's business.
const FILE_MODE: u32 = 0o600;
/// Rights of the data folder, if it is made.
const FOLDER_MODE: u32 = 0o700;

/// The files under `migrations/`: version, name, SQL. `sqlx::migrate!` would find them by itself, but that macro makes a
/// clean build compile sqlx and SQLite twice, once of it for the compiler.
const MIGRATIONS: [(i64, &str, &str); 1] =
    [(1, "performance", include_str!("../migrations/0001_performance.sql"))];

/// Why the store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A newer version of the program has written the file.
    #[error("{0} was written by a newer version of antiphon: use that, or move the file away")]
    Newer(PathBuf),
    /// The file cannot be opened.
    #[error("cannot open {0}: {1}")]
    Open(PathBuf, sqlx::Error),
    /// Reading or writing failed.
    #[error("performance.db: {0}")]
    Database(#[from] sqlx::Error),
}

/// A document about measurements, such as a profile or the result of a benchmark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The document's number; later documents have greater ones.
    pub id: i64,
    /// When it was added, in seconds since 1970.
    pub at: u64,
    /// The machine that was measured.
    pub machine: String,
    /// What was measured, such as a component of a benchmark; its words depend on the kind of document.
    pub subject: String,
    /// The document itself, as JSON.
    pub content: String,
}

/// The open database. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens `performance.db` in this folder, and creates it if it does not exist.
    pub async fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(PERFORMANCE);
        let refused = |error: sqlx::Error| StoreError::Open(path.clone(), error);
        make_private(folder, &path).map_err(|e| refused(sqlx::Error::Io(e)))?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            // A write-ahead log survives a kill at any moment, and lets others read while one writes.
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new().max_connections(2).acquire_timeout(BUSY).connect_with(options);
        let pool = pool.await.map_err(refused)?;
        migrator().run(&pool).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) => StoreError::Newer(path.clone()),
            other => refused(other.into()),
        })?;
        Ok(Self { pool })
    }

    /// Stores a period. It counts for the minute in which it began, and is merged with what is stored of that minute
    /// already, for example from before a restart.
    pub async fn keep(&self, period: &Period) -> Result<(), StoreError> {
        let (minute, _) = RESOLUTIONS[0];
        let at = period.at - period.at % minute.as_secs();
        let mut of_minute = self.read(minute, at, at + minute.as_secs()).await?;
        of_minute.push(period.clone());
        let Some(period) = Period::merged(&of_minute).map(|merged| Period { at, ..merged }) else {
            return Ok(());
        };
        let mut transaction = self.pool.begin().await?;
        insert(&mut transaction, minute, &period).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Merges finished periods to longer ones, and deletes what is too old. It may be called at any time, and makes
    /// up for calls that were missed.
    pub async fn roll_up(&self, now: u64) -> Result<(), StoreError> {
        for pair in RESOLUTIONS.windows(2) {
            let [(short, _), (long, _)] = pair else { continue };
            self.roll_up_to(*short, *long, now).await?;
        }
        for (length, kept) in RESOLUTIONS {
            for delete in [
                "DELETE FROM spans WHERE period_s = ? AND at < ?",
                "DELETE FROM levels WHERE period_s = ? AND at < ?",
            ] {
                let oldest = now.saturating_sub(kept.as_secs()) as i64;
                sqlx::query(delete).bind(seconds(length)).bind(oldest).execute(&self.pool).await?;
            }
        }
        Ok(())
    }

    /// Merges the finished periods of length `short` to periods of length `long`.
    async fn roll_up_to(&self, short: Duration, long: Duration, now: u64) -> Result<(), StoreError> {
        let latest = "SELECT max(at) FROM (SELECT at FROM spans WHERE period_s = ?1
            UNION ALL SELECT at FROM levels WHERE period_s = ?1)";
        let done: Option<i64> = sqlx::query_scalar(latest).bind(seconds(long)).fetch_one(&self.pool).await?;
        let from = done.map_or(0, |at| at as u64 + long.as_secs());
        let until = now - now % long.as_secs();
        let mut finished: BTreeMap<u64, Vec<Period>> = BTreeMap::new();
        for period in self.read(short, from, until).await? {
            finished.entry(period.at - period.at % long.as_secs()).or_default().push(period);
        }
        let mut transaction = self.pool.begin().await?;
        for (at, periods) in finished {
            let Some(merged) = Period::merged(&periods) else { continue };
            insert(&mut transaction, long, &Period { at, ..merged }).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The periods of the last `window`, at the finest resolution that reaches that far back with at
    /// most [`MAX_PERIODS`].
    pub async fn periods(&self, window: Duration, now: u64) -> Result<Vec<Period>, StoreError> {
        let fits = |(length, kept): &&(Duration, Duration)| {
            *kept >= window && window.as_secs() / length.as_secs() <= MAX_PERIODS
        };
        let (length, _) = RESOLUTIONS.iter().find(fits).unwrap_or(&RESOLUTIONS[2]);
        let mut periods = self.read(*length, now.saturating_sub(window.as_secs()), now + 1).await?;
        // Add what has not been merged to this length yet.
        if *length > RESOLUTIONS[0].0 {
            let from = periods.last().map_or(0, |last| last.at + length.as_secs());
            let recent = self.read(RESOLUTIONS[0].0, from.max(now.saturating_sub(window.as_secs())), now + 1);
            periods.extend(Period::merged(&recent.await?));
        }
        Ok(periods)
    }

    async fn read(&self, length: Duration, from: u64, until: u64) -> Result<Vec<Period>, StoreError> {
        let mut periods: BTreeMap<u64, Period> = BTreeMap::new();
        let select = "SELECT at, component, name, errors, spans FROM spans JOIN series ON series.id = series
            WHERE period_s = ? AND at >= ? AND at < ? ORDER BY at";
        let rows = sqlx::query(select).bind(seconds(length)).bind(from as i64).bind(until as i64);
        for row in rows.fetch_all(&self.pool).await? {
            let (at, key) = (row.try_get::<i64, _>("at")? as u64, key(&row)?);
            let bytes: Vec<u8> = row.try_get("spans")?;
            // A damaged snapshot leaves a gap; the rest can still be read.
            let Some(spans) = Snapshot::from_bytes(&bytes) else { continue };
            let errors = row.try_get::<i64, _>("errors")? as u64;
            let period = periods.entry(at).or_insert_with(|| Period { at, length, ..Period::default() });
            period.stages.insert(key, Spans { spans, errors });
        }
        let select = "SELECT at, component, name, value FROM levels JOIN series ON series.id = series
            WHERE period_s = ? AND at >= ? AND at < ? ORDER BY at";
        let rows = sqlx::query(select).bind(seconds(length)).bind(from as i64).bind(until as i64);
        for row in rows.fetch_all(&self.pool).await? {
            let (at, key) = (row.try_get::<i64, _>("at")? as u64, key(&row)?);
            let period = periods.entry(at).or_insert_with(|| Period { at, length, ..Period::default() });
            period.levels.insert(key, row.try_get("value")?);
        }
        Ok(periods.into_values().collect())
    }

    /// Stores a document and returns its number. The oldest of its kind, subject and machine are deleted.
    pub async fn add_document(
        &self,
        kind: &str,
        at: u64,
        machine: &str,
        subject: &str,
        content: &str,
    ) -> Result<i64, StoreError> {
        let insert = "INSERT INTO documents (kind, at, machine, subject, content) VALUES (?, ?, ?, ?, ?)";
        let inserted =
            sqlx::query(insert).bind(kind).bind(at as i64).bind(machine).bind(subject).bind(content);
        let id = inserted.execute(&self.pool).await?.last_insert_rowid();
        let delete = "DELETE FROM documents WHERE kind = ?1 AND machine = ?2 AND subject = ?3 AND id NOT IN
            (SELECT id FROM documents WHERE kind = ?1 AND machine = ?2 AND subject = ?3 ORDER BY id DESC LIMIT ?4)";
        let delete = sqlx::query(delete).bind(kind).bind(machine).bind(subject).bind(MAX_DOCUMENTS);
        delete.execute(&self.pool).await?;
        Ok(id)
    }

    /// At most `limit` documents of a kind, the latest first; of one subject, or of all.
    pub async fn documents(
        &self,
        kind: &str,
        subject: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Document>, StoreError> {
        let select = "SELECT id, at, machine, subject, content FROM documents
            WHERE kind = ?1 AND (?2 IS NULL OR subject = ?2) ORDER BY id DESC LIMIT ?3";
        let rows = sqlx::query(select).bind(kind).bind(subject).bind(limit).fetch_all(&self.pool).await?;
        let document = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Document {
                id: row.try_get("id")?,
                at: row.try_get::<i64, _>("at")? as u64,
                machine: row.try_get("machine")?,
                subject: row.try_get("subject")?,
                content: row.try_get("content")?,
            })
        };
        rows.iter().map(document).collect()
    }
}

/// Makes the folder and the file, and closes the file and its log to other users: SQLite gives the log the rights of the file. That
/// rights cannot be changed is no reason to do without measurements, and that the file cannot be made is SQLite's to report.
fn make_private(folder: &Path, path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    let _ = OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(path);
    for suffix in ["", "-wal", "-shm"] {
        let mut path = path.as_os_str().to_owned();
        path.push(suffix);
        let _ = set_permissions(path, Permissions::from_mode(FILE_MODE));
    }
    Ok(())
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.to_vec())
}

fn seconds(length: Duration) -> i64 {
    length.as_secs() as i64
}

fn key(row: &sqlx::sqlite::SqliteRow) -> Result<Key, sqlx::Error> {
    Ok(Key::new(row.try_get::<String, _>("component")?, row.try_get::<String, _>("name")?))
}

async fn insert(
    transaction: &mut Transaction<'_, Sqlite>,
    length: Duration,
    period: &Period,
) -> Result<(), sqlx::Error> {
    let at = (period.at - period.at % length.as_secs()) as i64;
    for (key, spans) in &period.stages {
        let insert =
            "INSERT OR REPLACE INTO spans (period_s, at, series, errors, spans) VALUES (?, ?, ?, ?, ?)";
        sqlx::query(insert)
            .bind(seconds(length))
            .bind(at)
            .bind(series(transaction, key).await?)
            .bind(spans.errors as i64)
            .bind(spans.spans.to_bytes())
            .execute(&mut **transaction)
            .await?;
    }
    for (key, value) in &period.levels {
        let insert = "INSERT OR REPLACE INTO levels (period_s, at, series, value) VALUES (?, ?, ?, ?)";
        sqlx::query(insert)
            .bind(seconds(length))
            .bind(at)
            .bind(series(transaction, key).await?)
            .bind(value)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

/// The number of a stage or level in the table `series`; a new one is added.
async fn series(transaction: &mut Transaction<'_, Sqlite>, key: &Key) -> Result<i64, sqlx::Error> {
    let select = "SELECT id FROM series WHERE component = ? AND name = ?";
    let (component, name) = (key.component.as_ref(), key.name.as_ref());
    let known: Option<i64> =
        sqlx::query_scalar(select).bind(component).bind(name).fetch_optional(&mut **transaction).await?;
    if let Some(id) = known {
        return Ok(id);
    }
    let insert = sqlx::query("INSERT INTO series (component, name) VALUES (?, ?)").bind(component).bind(name);
    Ok(insert.execute(&mut **transaction).await?.last_insert_rowid())
}

#[cfg(test)]
mod tests {
    use antiphon_core::measure::Histogram;

    use super::*;

    /// A Saturday at noon, UTC.
    const NOON: u64 = 1_795_262_400;

    fn minute(at: u64, span_ms: u64) -> Period {
        let histogram = Histogram::default();
        histogram.record(Duration::from_millis(span_ms));
        let spans = Spans { spans: histogram.snapshot(), errors: 0 };
        Period {
            at,
            length: Duration::from_mins(1),
            stages: [(Key::new("stt", "run"), spans)].into(),
            levels: [(Key::new("process", "cpu"), 1.5)].into(),
        }
    }

    fn count(periods: &[Period]) -> u64 {
        let whole = Period::merged(periods).expect("some");
        whole.stages.values().map(|spans| spans.spans.count()).sum()
    }

    #[tokio::test]
    async fn days_are_kept_at_falling_resolution_and_lose_no_sample() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let minutes = 3 * 60;
        for n in 0..minutes {
            store.keep(&minute(NOON + n * 60, n % 50 + 1)).await.unwrap();
        }
        let now = NOON + minutes * 60;
        store.roll_up(now).await.unwrap();
        store.roll_up(now).await.unwrap();
        for (window, periods) in [
            (Duration::from_hours(4), 180),
            (Duration::from_hours(48), 18),
            (Duration::from_hours(30 * 24), 3),
        ] {
            let found = store.periods(window, now).await.unwrap();
            assert_eq!((found.len(), count(&found)), (periods, minutes), "{window:?}");
            assert_eq!(found[0].levels[&Key::new("process", "cpu")], 1.5);
        }
        // What was measured since then is not lost to the longer views.
        store.keep(&minute(now, 10)).await.unwrap();
        assert_eq!(count(&store.periods(Duration::from_hours(48), now).await.unwrap()), minutes + 1);
    }

    #[tokio::test]
    async fn a_minute_with_a_restart_in_it_keeps_both_halves() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.keep(&minute(NOON + 5, 10)).await.unwrap();
        store.keep(&minute(NOON + 40, 20)).await.unwrap();
        assert_eq!(count(&store.periods(Duration::from_hours(2), NOON + 60).await.unwrap()), 2);
    }

    #[tokio::test]
    async fn what_is_too_old_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.keep(&minute(NOON, 10)).await.unwrap();
        let next_day = NOON + 25 * 3_600;
        store.roll_up(next_day).await.unwrap();
        assert!(store.periods(Duration::from_mins(30), next_day).await.unwrap().is_empty());
        assert_eq!(count(&store.periods(Duration::from_hours(72), next_day).await.unwrap()), 1);
        store.roll_up(NOON + 500 * 24 * 3_600).await.unwrap();
        let years = Duration::from_hours(1_000 * 24);
        assert!(store.periods(years, NOON + 500 * 24 * 3_600).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn documents_are_kept_by_kind_and_survive_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        for n in 0..MAX_DOCUMENTS + 5 {
            store.add_document("benchmark", NOON + n as u64, "m", "stt", &n.to_string()).await.unwrap();
        }
        store.add_document("profile", NOON, "m", "cpu", "{}").await.unwrap();
        drop(store);
        let store = Store::open(folder.path()).await.unwrap();
        let found = store.documents("benchmark", Some("stt"), 2_000).await.unwrap();
        assert_eq!(found.len() as i64, MAX_DOCUMENTS);
        assert_eq!(found[0].content, (MAX_DOCUMENTS + 4).to_string(), "the latest first");
        assert_eq!(store.documents("profile", None, 10).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn nobody_else_may_read_the_files() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("data");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let store = Store::open(&folder).await.unwrap();
        store.keep(&minute(NOON, 10)).await.unwrap();
        assert_eq!(mode(&folder), FOLDER_MODE);
        for name in ["performance.db", "performance.db-wal", "performance.db-shm"] {
            let path = folder.join(name);
            assert_eq!(mode(&path), FILE_MODE, "{name}");
            set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        }
        let _again = Store::open(&folder).await.unwrap();
        for name in ["performance.db", "performance.db-wal", "performance.db-shm"] {
            assert_eq!(mode(&folder.join(name)), FILE_MODE, "{name}, of an earlier version");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_damaged_behind_its_head_is_named_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.keep(&minute(NOON, 10)).await.unwrap();
        store.pool.close().await;
        let path = folder.path().join(PERFORMANCE);
        let mut bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() > 8_192, "it has pages beside its head");
        bytes[4_096..].fill(0x5A);
        std::fs::write(&path, bytes).unwrap();
        let refused = Store::open(folder.path()).await.expect_err("refused").to_string();
        assert!(refused.contains(&path.display().to_string()), "{refused}");
    }

    #[tokio::test]
    async fn a_newer_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let newer = "INSERT INTO _sqlx_migrations VALUES (9999, 'future', '2030-01-01', 1, x'00', 1)";
        sqlx::query(newer).execute(&store.pool).await.unwrap();
        drop(store);
        let refused = Store::open(folder.path()).await.expect_err("refused");
        assert!(refused.to_string().contains("newer version"), "{refused}");
    }
}
