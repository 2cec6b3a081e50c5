//! A process that is killed while it writes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use rand::Rng;

use super::*;

/// Says to this test, run again as a child, where to write, from which number on and how much.
const CHILD: &str = "ANTIPHON_TEST_CACHE_CHILD";
const NAME: &str = "disk::tests::crash::what_is_served_after_a_kill_is_what_was_put";
const ROUNDS: u64 = 8;
/// Numbers of one round.
const NUMBERS: u64 = 100_000;
/// Entries between one flush and the next.
const FLUSHED: u64 = 40;

#[test]
fn what_is_served_after_a_kill_is_what_was_put() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Ok(child) = std::env::var(CHILD) {
        runtime.block_on(write_on(&child));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut random = SmallRng::seed_from_u64(1);
    for round in 0..ROUNDS {
        // In some rounds entries have to give way all the time.
        let max_bytes = if round % 2 == 0 { PLENTY } else { 8 << 20 };
        let acknowledged = kill(&folder, round, max_bytes, &mut random);
        runtime.block_on(look(&folder, round, acknowledged));
    }
}

fn size(n: u64) -> usize {
    [100, 2_000, 10_000, 40_000][(n % 7 % 4) as usize]
}

/// The child: puts entries, some of them again, and prints up to which number they are written.
async fn write_on(child: &str) {
    let (folder, rest) = child.split_once('|').unwrap();
    let (round, max_bytes) = rest.split_once('|').unwrap();
    let (round, max_bytes): (u64, u64) = (round.parse().unwrap(), max_bytes.parse().unwrap());
    let time = Time::new();
    // The entries of this round are newer than those of the rounds before.
    time.pass(round * NUMBERS);
    let layer = DiskLayer::open(Path::new(folder), max_bytes, time.clock()).await.unwrap();
    for n in round * NUMBERS..(round + 1) * NUMBERS {
        time.pass(1);
        layer.put(Arc::new(entry(n, size(n), time.now())));
        if n % 5 == 0 {
            layer.put(Arc::new(entry(n / 2, size(n / 2), time.now())));
        }
        if n % FLUSHED == 0 {
            layer.flush().await;
            // A line that cannot be written means that the test itself was killed.
            if writeln!(std::io::stdout(), "\nwritten {n}").is_err() {
                return;
            }
        }
    }
}

/// Lets the child write for a while and kills it; gives the number up to which it said that all is written.
fn kill(folder: &TempDir, round: u64, max_bytes: u64, random: &mut SmallRng) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture", "--test-threads", "1"])
        .env(CHILD, format!("{}|{round}|{max_bytes}", folder.path().display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut written = lines.filter_map(|line| line.strip_prefix("written ")?.parse::<u64>().ok());
    let flushes = random.random_range(10..30);
    let acknowledged = written.by_ref().take(flushes).last().expect("the child writes");
    // The child is killed at a random moment, mostly between one flush and the next.
    std::thread::sleep(Duration::from_micros(random.random_range(0..20_000)));
    child.kill().unwrap();
    child.wait().unwrap();
    written.last().unwrap_or(acknowledged)
}

async fn look(folder: &TempDir, round: u64, acknowledged: u64) {
    let time = Time::new();
    // As late as the child can have been, and no later than the next one begins.
    time.pass((round + 1) * NUMBERS);
    let layer = DiskLayer::open(folder.path(), PLENTY, time.clock()).await.unwrap();
    let mut served = 0;
    for n in (0..=round).flat_map(|round| round * NUMBERS..round * NUMBERS + 3_000) {
        let (kind, key) = name(n);
        let found = layer.get(kind, key).await.unwrap();
        if let Some(found) = &found {
            assert_eq!(**found, entry(n, size(n), found.made_ms));
            served += 1;
        }
        let latest = acknowledged - FLUSHED + 1..=acknowledged;
        assert!(found.is_some() || !latest.contains(&n), "{n} was written: {acknowledged}");
    }
    assert!(served >= FLUSHED);
    let listed = layer.list(Selection::default(), usize::MAX).await.unwrap();
    assert!(listed.len() as u64 >= served, "those put again were found as well");
    let counters = layer.counters();
    let damaged = counters.iter().filter(|counter| counter.name == "damaged" || counter.name == "failures");
    assert!(damaged.map(|counter| counter.value).sum::<u64>() == 0, "{counters:?}");
}
