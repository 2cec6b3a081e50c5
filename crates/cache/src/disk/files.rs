//! The database's files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use antiphon_core::{Error, Result};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use super::readers::Readers;
use super::trouble::Trouble;

/// Another process may write: somebody empties the cache from the command line.
const BUSY: Duration = Duration::from_secs(1);
/// What is longer than half a page but not than a page takes all of it: half of 4 KiB would be lost on a reply of 2 kB, and
/// half of 16 KiB on a clause of 10 kB.
const PAGE: u32 = 8_192;
/// What the log is cut to after it had to be longer.
const LOG_BYTES: &str = "16777216";

const SCHEMA: &str = include_str!("schema.sql");
/// Of the schema: files of any other are not read.
const VERSION: i64 = 1;

/// Where the database lies and how it is opened.
pub(super) struct Files {
    path: PathBuf,
    pub(super) options: SqliteConnectOptions,
}

impl Files {
    /// Those in `folder`. [`antiphon_core::ErrorKind::Invalid`] if its name is nothing SQLite can open.
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
            .pragma("cell_size_check", "ON")
            .disable_statement_logging();
        Ok(Self { path, options })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the database, or makes it: a connection that writes and those that read.
    pub(super) async fn open(&self) -> Result<(SqliteConnection, Readers), Trouble> {
        if let Some(folder) = self.path.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(sqlx::Error::Io)?;
        }
        let mut writer = self.options.clone().create_if_missing(true).connect().await?;
        match self.prepare(&mut writer).await {
            Ok(readers) => Ok((writer, readers)),
            Err(trouble) => {
                // One that cannot be closed is dropped, which closes it.
                let _ = writer.close().await;
                Err(trouble)
            }
        }
    }

    async fn prepare(&self, writer: &mut SqliteConnection) -> Result<Readers, Trouble> {
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

    /// Whether the database is still there. What cannot be told is taken for a yes: whoever uses it next will see.
    pub(super) async fn exist(&self) -> bool {
        tokio::fs::try_exists(&self.path).await.unwrap_or(true)
    }

    /// Removes the database. It must be closed: SQLite would remove the log of the next one.
    pub(super) async fn remove(&self) -> std::io::Result<()> {
        for suffix in ["", "-wal", "-shm"] {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            match tokio::fs::remove_file(path).await {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Makes the tables, unless another process has just done so.
async fn create(connection: &mut SqliteConnection) -> Result<(), Trouble> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    match version {
        0 => sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?,
        VERSION => return Ok(transaction.rollback().await?),
        other => return Err(Trouble::file(format!("it is of version {other}, not {VERSION}"))),
    };
    Ok(transaction.commit().await?)
}

/// The tables are word for word those made: damage to their definitions would mislead SQLite, and stop the driver, which
/// takes names for UTF-8.
async fn check(connection: &mut SqliteConnection) -> Result<(), Trouble> {
    let select = "SELECT CAST(sql AS BLOB) FROM sqlite_schema";
    let definitions: Vec<Vec<u8>> = sqlx::query_scalar(select).fetch_all(connection).await?;
    let ours = |sql: &Vec<u8>| std::str::from_utf8(sql).is_ok_and(|sql| SCHEMA.contains(sql));
    if definitions.len() == SCHEMA.matches("\nCREATE ").count() && definitions.iter().all(ours) {
        Ok(())
    } else {
        Err(Trouble::file("its tables are not those that were made"))
    }
}
