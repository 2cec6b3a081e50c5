//! What processes use of the machine.

/// What the server used, as told by whoever can see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServerUsage {
    /// Processor time since it started, user and system.
    pub cpu_s: f64,
    /// Memory it holds now.
    pub resident_bytes: u64,
}

/// Ticks a second in `/proc`: `USER_HZ`, which Linux fixes at 100 on all machines we run on.
const TICKS: f64 = 100.0;

/// Processor time of this process in seconds; `None` where there is no `/proc`.
pub(super) fn own_cpu_s() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    cpu_s(&stat)
}

/// From the text of `/proc/PID/stat`, whose second field is a name in parentheses that may hold anything; user and
/// system time are fields 14 and 15 (proc(5)).
fn cpu_s(stat: &str) -> Option<f64> {
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "12 (a) b (c)) S 1 1 1 0 -1 4194560 5 0 0 0 150 50 7 7 20 0 1 0 9 9 9";
        assert_eq!(cpu_s(stat), Some(2.0));
        assert_eq!(cpu_s("12 (a"), None);
        assert_eq!(cpu_s("12 (a) S 1"), None);
    }
}
