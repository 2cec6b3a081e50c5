//! Keeps a log readable while something happens thousands of times, such as callers who are turned away.

use std::sync::Mutex;
use std::time::Duration;

use antiphon_core::lock;
use tokio::time::Instant;

/// Time between two lines about the same thing. An operator who looks once a minute sees that it goes on.
const APART: Duration = Duration::from_mins(1);

/// Lets one line a minute through, and counts those in between.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    last: Option<Instant>,
    held_back: u64,
}

impl Seldom {
    /// Whether the line is to be written now: how many were held back since the one before. Otherwise `None`.
    pub fn due(&self) -> Option<u64> {
        let mut lines = lock(&self.0);
        if lines.last.is_some_and(|last| last.elapsed() < APART) {
            lines.held_back += 1;
            return None;
        }
        lines.last = Some(Instant::now());
        Some(std::mem::take(&mut lines.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_one_line_a_minute() {
        let seldom = Seldom::default();
        let written = |times: usize| (0..times).filter_map(|_| seldom.due()).collect::<Vec<_>>();
        assert_eq!(written(1_000), [0]);
        tokio::time::advance(APART).await;
        assert_eq!(written(1_000), [999]);
    }
}
