//! The timing guard, used in the way that other crates use it.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use antiphon_telemetry::{Key, Monitor, timing};

fn double(n: u32) -> u32 {
    let _timing = timing("library", "double");
    n * 2
}

fn parse(text: &str) -> Result<u32, std::num::ParseIntError> {
    let timing = timing("library", "parse");
    let parsed = text.parse();
    timing.end(parsed.is_ok());
    parsed
}

struct Index {
    entries: Vec<u32>,
}

impl Index {
    async fn insert(&mut self, text: &str) -> Result<usize, std::num::ParseIntError> {
        let timing = timing("library", "insert");
        tokio::task::yield_now().await;
        let parsed = text.parse();
        timing.end(parsed.is_ok());
        self.entries.push(parsed?);
        Ok(self.entries.len())
    }
}

#[tokio::test]
async fn every_call_is_timed_and_an_err_is_an_error() {
    let monitor = Monitor::new(Vec::new());
    assert_eq!(double(4), 8);
    assert!(parse("7").is_ok() && parse("x").is_err());
    let mut index = Index { entries: Vec::new() };
    assert_eq!(index.insert("1").await, Ok(1));
    assert!(index.insert("y").await.is_err());
    let period = monitor.tick();
    for (stage, count, errors) in [("double", 1, 0), ("parse", 2, 1), ("insert", 2, 1)] {
        let spans = period.stages.get(&Key::new("library", stage)).expect(stage);
        assert_eq!((spans.spans.count(), spans.errors), (count, errors), "{stage}");
    }
}
