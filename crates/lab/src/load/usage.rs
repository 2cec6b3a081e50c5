//! What processes use of the machine.

use antiphon_core::measure::cpu_time;

/// What the server used, as told by whoever can see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServerUsage {
    /// Processor time since it started, user and system.
    pub cpu_s: f64,
    /// Memory it holds now.
    pub resident_bytes: u64,
}

/// Processor time of this process in seconds; `None` where there is no `/proc`.
pub(super) fn own_cpu_s() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    cpu_time(&stat).map(|time| time.as_secs_f64())
}
