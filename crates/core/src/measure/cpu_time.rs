//! CPU time of a process, as Linux tells it.

use std::time::Duration;

/// Length of a tick in `/proc`: `USER_HZ` is 100 on every Linux this builds for (proc(5)).
const TICK: Duration = Duration::from_millis(10);

/// User and system time from the text of `/proc/PID/stat`: fields 14 and 15. The name in field 2 may hold anything, so
/// fields are counted from its closing parenthesis.
pub fn cpu_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * ticks()? + TICK * ticks()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "12 (a) b (c)) S 1 1 1 0 -1 4194560 5 0 0 0 150 50 7 7 20 0 1 0 9 9 9";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(2)));
        for text in ["", "garbage", "12 (a", "12 (a) S 1"] {
            assert_eq!(cpu_time(text), None, "{text}");
        }
    }
}
