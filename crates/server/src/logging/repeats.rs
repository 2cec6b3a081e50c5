//! Warnings that repeat, as when a stranger sends the same nonsense a thousand times: a state machine.

use std::collections::HashMap;
use std::time::Duration;

/// For how long a warning that comes again is counted and not written. Whoever reads along learns of it within a minute.
pub(super) const WINDOW: Duration = Duration::from_mins(1);
/// Most warnings that are counted at a time, of some hundred bytes each. While there are more, the others are written each time.
const MAX_COUNTED: usize = 256;

/// The warnings of the last [`WINDOW`].
#[derive(Debug, Default)]
pub(super) struct Repeats {
    counted: HashMap<u64, Counted>,
}

#[derive(Debug)]
struct Counted {
    /// The line that was written.
    line: String,
    /// When it was written, as time since 1970.
    since: Duration,
    /// How often it came again.
    again: u64,
}

impl Repeats {
    /// Ends the counting of all warnings whose time is over. Gives those that came again, and how often.
    pub(super) fn due(&mut self, now: Duration) -> Vec<(String, u64)> {
        let over = self.counted.extract_if(|_, counted| {
            // A clock that was set back ends it as well, because nobody knows for how long it was.
            now.checked_sub(counted.since).is_none_or(|passed| passed >= WINDOW)
        });
        let mut over: Vec<_> = over.map(|(_, counted)| counted).filter(|counted| counted.again > 0).collect();
        over.sort_by_key(|counted| counted.since);
        over.into_iter().map(|counted| (counted.line, counted.again)).collect()
    }

    /// Whether this warning has been written lately. If so, it is counted.
    pub(super) fn is_repeated(&mut self, id: u64) -> bool {
        let counted = self.counted.get_mut(&id);
        counted.map(|counted| counted.again += 1).is_some()
    }

    /// Notes that a warning has been written as this line.
    pub(super) fn written(&mut self, id: u64, line: String, now: Duration) {
        if self.counted.len() < MAX_COUNTED {
            self.counted.insert(id, Counted { line, since: now, again: 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_written_again_after_a_while_with_its_count() {
        let mut repeats = Repeats::default();
        let begin = Duration::from_hours(500_000);
        assert!(!repeats.is_repeated(1));
        repeats.written(1, "first".to_owned(), begin);
        repeats.written(2, "once".to_owned(), begin);
        assert!(repeats.is_repeated(1) && repeats.is_repeated(1) && !repeats.is_repeated(3));
        assert_eq!(repeats.due(begin + WINDOW.mul_f64(0.99)), []);
        assert_eq!(repeats.due(begin + WINDOW), [("first".to_owned(), 2)]);
        assert!(!repeats.is_repeated(1) && !repeats.is_repeated(2), "written anew");
        repeats.written(1, "first".to_owned(), begin);
        assert!(repeats.is_repeated(1));
        assert_eq!(repeats.due(begin.mul_f64(0.99)), [("first".to_owned(), 1)], "the clock was set back");
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let mut repeats = Repeats::default();
        for id in 0..2 * MAX_COUNTED as u64 {
            repeats.written(id, id.to_string(), Duration::ZERO);
        }
        assert_eq!(repeats.counted.len(), MAX_COUNTED);
        assert!(repeats.is_repeated(0) && !repeats.is_repeated(MAX_COUNTED as u64));
    }
}
