//! What the server and the load generator use of the machine.

use antiphon_telemetry::cpu_time;

/// What the server has used, as reported by the caller of the test, who can see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServerUsage {
    /// CPU time since its start in seconds, user and system.
    pub cpu_s: f64,
    /// Memory that the server holds at the moment, in bytes (its resident set).
    pub resident_bytes: u64,
}

/// CPU time of this process in seconds; `None` where there is no `/proc`.
pub(super) fn own_cpu_s() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    cpu_time(&stat).map(|time| time.as_secs_f64())
}
