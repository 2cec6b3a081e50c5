//! Files that are not what was written.

use rand::Rng;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::outages::{Told, later};
use super::*;
use crate::disk::failure::RETRY;

/// The entries that are written before the files are damaged.
const ENTRIES: u64 = 60;
/// The names of the database and its log.
const FILES: [&str; 2] = ["cache.db", "cache.db-wal"];

async fn execute(database: &Path, sql: &'static str) {
    let mut connection: SqliteConnection =
        SqliteConnectOptions::new().filename(database).connect().await.unwrap();
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_damaged_entry_is_not_served_but_removed() {
    let place = Place::new(PLENTY).await;
    place.put(0..5, 100).await;
    // One byte is changed, one entry cut short, one has another type, and one stands in the place of another.
    for sql in [
        "UPDATE bodies SET bytes = CAST(substr(bytes, 1, 200) || x'00' || substr(bytes, 202) AS BLOB) WHERE id = 1",
        "UPDATE bodies SET bytes = substr(bytes, 1, 50) WHERE id = 2",
        "UPDATE bodies SET bytes = 17 WHERE id = 3",
        "UPDATE entries SET body = 5 WHERE body = 4",
    ] {
        execute(&place.database(), sql).await;
    }
    for n in 0..4 {
        assert!(!place.has(n).await, "{n}");
    }
    place.layer.flush().await;
    assert_eq!((place.count("damaged"), place.entries().await), (4, 1));
    assert_eq!(place.count("failures"), 0);
    place.put(0..4, 100).await;
    assert!(place.has(0).await && place.has(3).await, "it can be put again");
}

#[tokio::test]
async fn what_is_no_cache_is_begun_anew() {
    let told = Told::listen();
    let garbage: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    for (name, bytes) in [("text", b"this is no database".to_vec()), ("garbage", garbage)] {
        let (folder, time) = (tempfile::tempdir().unwrap(), Time::new());
        std::fs::write(folder.path().join("cache.db"), bytes).unwrap();
        let layer = DiskLayer::open(folder.path(), PLENTY, time.clock()).await.unwrap();
        let place = Place { folder, time, layer };
        place.put(0..5, 100).await;
        assert!(place.has(3).await, "{name}");
        assert_eq!(told.warnings(), 1, "{name}");
        told.forget();
    }
    for sql in [
        "PRAGMA user_version = 2",
        "ALTER TABLE entries ADD COLUMN more",
        "DROP TABLE totals",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'tenant TEXT', 'tenant BLOB')",
        "PRAGMA writable_schema = ON;
            UPDATE sqlite_schema SET sql = CAST(replace(CAST(sql AS BLOB), 'TEXT', x'ff545854') AS TEXT)",
    ] {
        let place = Place::new(PLENTY).await;
        place.put(0..5, 100).await;
        drop(place.layer);
        execute(&place.folder.path().join("cache.db"), sql).await;
        let layer = DiskLayer::open(place.folder.path(), PLENTY, place.time.clock()).await.unwrap();
        let place = Place { layer, ..place };
        assert_eq!((place.entries().await, told.warnings()), (0, 1), "{sql}");
        place.put(0..5, 100).await;
        assert!(place.has(3).await, "{sql}");
        told.forget();
    }
}

/// The contents of both files after some entries were written, either all into the log or all into the database.
async fn written(entries: u64, all_in_database: bool) -> [Vec<u8>; 2] {
    let place = Place::new(PLENTY).await;
    place.put(0..entries, 3_000).await;
    place.put((0..entries).step_by(3), 20_000).await;
    if all_in_database {
        execute(&place.database(), "PRAGMA wal_checkpoint(TRUNCATE)").await;
    }
    FILES.map(|name| std::fs::read(place.folder.path().join(name)).unwrap())
}

/// Flips some bits, overwrites a stretch or cuts the end off.
fn damage(bytes: &mut Vec<u8>, random: &mut SmallRng) {
    if bytes.is_empty() {
        return;
    }
    // The head and the tables' definitions are little beside the entries, and matter more.
    let within = if random.random_bool(0.3) { bytes.len().min(4_096) } else { bytes.len() };
    match random.random_range(0..10) {
        0 => bytes.truncate(random.random_range(0..bytes.len())),
        1 | 2 => {
            let from = random.random_range(0..within);
            let length = random.random_range(1..20_000).min(bytes.len() - from);
            random.fill_bytes(&mut bytes[from..from + length]);
        }
        _ => {
            for _ in 0..random.random_range(1..40) {
                bytes[random.random_range(0..within)] ^= 1 << random.random_range(0..8);
            }
        }
    }
}

#[tokio::test]
async fn whatever_bytes_are_damaged_nothing_wrong_is_served() {
    let panics = Panics::watch();
    let mut random = SmallRng::seed_from_u64(7);
    let whole = [written(ENTRIES, false).await, written(ENTRIES, true).await];
    let (mut served, mut lost) = (0, 0);
    for round in 0..100 {
        let mut files = whole[round % 2].clone();
        damage(&mut files[1 - round % 2], &mut random);
        let (folder, time) = (tempfile::tempdir().unwrap(), Time::new());
        for (name, bytes) in FILES.iter().zip(files) {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let layer = DiskLayer::open(folder.path(), PLENTY, time.clock()).await.unwrap();
        for n in 0..ENTRIES {
            let (kind, key) = name(n);
            if let Ok(Some(found)) = layer.get(kind, key).await {
                // An entry was put twice with different sizes. If the second was lost, the first may still be there.
                assert_eq!(*found, entry(n, found.value.len(), time.now()), "round {round}");
                served += 1;
            } else {
                lost += 1;
            }
        }
        for entry in layer.list(Selection::default(), 1_000).await.unwrap_or_default() {
            let n = entry.label.strip_prefix("number ").unwrap().parse().unwrap();
            assert_eq!(*entry, self::entry(n, entry.value.len(), time.now()), "round {round}");
        }
        for n in 0..ENTRIES {
            layer.put(Arc::new(entry(n, 5_000, time.now())));
        }
        layer.flush().await;
        let _ = layer.clear(Selection { kind: Some(Kind::Reply), ..Selection::default() }).await;
        assert!(is_well_in_the_end(&layer, &time).await, "round {round}");
        assert_eq!(panics.count(), 0, "round {round}");
    }
    assert!(served > 500 && lost > 500, "{served} served, {lost} lost");
}

/// Whether every entry can be put and found again, after the database was begun anew if need be.
async fn is_well_in_the_end(layer: &DiskLayer, time: &Time) -> bool {
    for _ in 0..5 {
        for n in 0..ENTRIES {
            layer.put(Arc::new(entry(n, 4_000, time.now())));
        }
        layer.flush().await;
        let mut found = 0;
        for n in 0..ENTRIES {
            let (kind, key) = name(n);
            let expected = entry(n, 4_000, time.now());
            found +=
                u64::from(layer.get(kind, key).await.is_ok_and(|found| found.as_deref() == Some(&expected)));
        }
        if found == ENTRIES {
            return true;
        }
        later(RETRY).await;
    }
    false
}

/// Counts the panics of the driver's threads, and of this one.
struct Panics(Arc<AtomicU64>);

impl Panics {
    fn watch() -> Self {
        let (count, this) = (Arc::new(AtomicU64::new(0)), std::thread::current().id());
        let (counted, before) = (count.clone(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            let driver = thread.name().is_some_and(|name| name.starts_with("sqlx"));
            counted.fetch_add(u64::from(driver || thread.id() == this), Ordering::Relaxed);
            before(panic);
        }));
        Self(count)
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
