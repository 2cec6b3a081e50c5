//! The files of the database.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use antiphon_core::{Error, Result};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use super::failure::DiskFailure;
use super::readers::Readers;
use crate::private_files;

/// How long to wait for another process that writes, such as one that clears the cache from the command line.
const BUSY: Duration = Duration::from_secs(1);
/// The page size in bytes. A value between half a page and a page takes a whole one: pages of 4 KiB would waste half of it on a
/// reply of 2 kB, pages of 16 KiB on a clause of 10 kB.
const PAGE: u32 = 8_192;
/// The size in bytes to which the write-ahead log is cut after it was longer.
const LOG_BYTES: &str = "16777216";
/// The endings of the names of the database, of its log, and of the index of the log.
pub(super) const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

const SCHEMA: &str = include_str!("schema.sql");
/// The version of the schema; files of another version are not read.
const VERSION: i64 = 1;

/// Where the database lies and how it is opened.
pub(super) struct Files {
    path: PathBuf,
    pub(super) options: SqliteConnectOptions,
}

impl Files {
    /// The files in `folder`.
    ///
    /// # Errors
    /// `Invalid` if SQLite cannot open a file of that name.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("cache.db");
        if path.to_str().is_none_or(|name| name.contains('\0')) {
            return Err(Error::invalid(format!(
                "the cache's folder {} has no valid UTF-8 name",
                folder.display()
            )));
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(BUSY)
            .page_size(PAGE)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            // Survives a kill at any moment, and lets readers read while one writes.
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("journal_size_limit", LOG_BYTES)
            // What is removed is overwritten: it may be what somebody said. That makes removing as dear as writing.
            .pragma("secure_delete", "ON")
            .pragma("cell_size_check", "ON")
            .disable_statement_logging();
        Ok(Self { path, options })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the database, or makes it; gives a connection for writing and those for reading.
    pub(super) async fn open(&self) -> Result<(SqliteConnection, Readers), DiskFailure> {
        let paths = self.all();
        let made = tokio::task::spawn_blocking(move || make_private(&paths)).await;
        made.map_err(std::io::Error::other).flatten().map_err(sqlx::Error::Io)?;
        let mut writer = self.options.clone().create_if_missing(true).connect().await?;
        match self.prepare(&mut writer).await {
            Ok(readers) => Ok((writer, readers)),
            Err(failure) => {
                // A connection that cannot be closed properly is closed by dropping it.
                let _ = writer.close().await;
                Err(failure)
            }
        }
    }

    async fn prepare(&self, writer: &mut SqliteConnection) -> Result<Readers, DiskFailure> {
        create(writer).await?;
        check(writer).await?;
        let mut readers = Vec::with_capacity(Readers::COUNT);
        for _ in 0..Readers::COUNT {
            let mut reader = self.options.clone().pragma("query_only", "ON").connect().await?;
            check(&mut reader).await?;
            readers.push(reader);
        }
        Ok(Readers::new(readers))
    }

    /// Whether the database file is still there. If that cannot be found out it counts as there: the next use will show.
    pub(super) async fn exist(&self) -> bool {
        tokio::fs::try_exists(&self.path).await.unwrap_or(true)
    }

    /// Removes the database, which must be closed: otherwise SQLite would later remove the log of the next one.
    pub(super) async fn remove(&self) -> std::io::Result<()> {
        for path in self.all() {
            match tokio::fs::remove_file(path).await {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The database, its log and the index of the log.
    fn all(&self) -> [PathBuf; 3] {
        SUFFIXES.map(|suffix| {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            path.into()
        })
    }
}

/// Makes the folder and the database, and closes all files that are there to other users: SQLite gives its log the rights of the
/// database. That a file's rights cannot be changed is no reason to do without a cache, and that it cannot be made is SQLite's to
/// report.
fn make_private([database, log, index]: &[PathBuf; 3]) -> std::io::Result<()> {
    if let Some(folder) = database.parent() {
        private_files::create_folder(folder)?;
        let _ = private_files::tighten_folder(folder);
    }
    let _ = private_files::create_file(database);
    for path in [log, index] {
        let _ = private_files::tighten_file(path);
    }
    Ok(())
}

/// Makes the tables, unless another process has just done so.
async fn create(connection: &mut SqliteConnection) -> Result<(), DiskFailure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    match version {
        0 => sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?,
        VERSION => return Ok(transaction.rollback().await?),
        other => return Err(DiskFailure::file(format!("it is of version {other}, not {VERSION}"))),
    };
    Ok(transaction.commit().await?)
}

/// Checks that the definitions of the tables are word for word ours: damage to them would mislead SQLite, and make the driver
/// panic, which expects names in UTF-8.
async fn check(connection: &mut SqliteConnection) -> Result<(), DiskFailure> {
    let select = "SELECT CAST(sql AS BLOB) FROM sqlite_schema";
    let definitions: Vec<Vec<u8>> = sqlx::query_scalar(select).fetch_all(connection).await?;
    let ours = |sql: &Vec<u8>| std::str::from_utf8(sql).is_ok_and(|sql| SCHEMA.contains(sql));
    if definitions.len() == SCHEMA.matches("\nCREATE ").count() && definitions.iter().all(ours) {
        Ok(())
    } else {
        Err(DiskFailure::file("its tables are not those that were made"))
    }
}
