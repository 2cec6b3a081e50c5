//! What the process uses, as the operating system tells. What the platform does not tell (anything but Linux) is left
//! out.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use antiphon_core::measure::{Component, Level, cpu_time};

/// Rates are taken over at least this long: the clock of `/proc` ticks every 10 ms.
const RATES_OVER: Duration = Duration::from_secs(1);

/// Bytes and seconds used since the process began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time in seconds.
    pub cpu_s: f64,
    /// Resident memory.
    pub resident_bytes: f64,
    /// Threads of the operating system.
    pub threads: f64,
    /// Open files.
    pub open_files: f64,
    /// Of the open files, how many there may be.
    pub max_open_files: Option<f64>,
    /// Received by this machine, or this container, but not from itself.
    pub network_in_bytes: f64,
    /// Sent.
    pub network_out_bytes: f64,
}

impl Usage {
    /// Now; zero where it is not told.
    pub fn now() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (status, limits, network) =
            (read("/proc/self/status"), read("/proc/self/limits"), read("/proc/self/net/dev"));
        let (network_in_bytes, network_out_bytes) = network_bytes(&network);
        Self {
            cpu_s: cpu_time(&read("/proc/self/stat")).unwrap_or_default().as_secs_f64(),
            resident_bytes: status_field(&status, "VmRSS:").unwrap_or_default() * 1_024.0,
            threads: status_field(&status, "Threads:").unwrap_or_default(),
            open_files: fs::read_dir("/proc/self/fd").map_or(0.0, |entries| entries.count() as f64),
            max_open_files: status_field(&limits, "Max open files"),
            network_in_bytes,
            network_out_bytes,
        }
    }
}

/// The process as a component.
pub struct Process {
    calls: Box<dyn Fn() -> usize + Send + Sync>,
    rates: Mutex<Rates>,
}

struct Rates {
    since: Instant,
    usage: Usage,
    cpu: f64,
    network_in: f64,
    network_out: f64,
    /// What it held when there were last no calls: what it holds beyond that is theirs.
    idle_bytes: f64,
}

impl Process {
    /// `calls` tells how many calls there are, who share the cost.
    pub fn new(calls: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        let usage = Usage::now();
        let idle_bytes = usage.resident_bytes;
        let rates =
            Rates { since: Instant::now(), usage, cpu: 0.0, network_in: 0.0, network_out: 0.0, idle_bytes };
        Self { calls: Box::new(calls), rates: Mutex::new(rates) }
    }
}

impl Component for Process {
    fn name(&self) -> &'static str {
        "process"
    }

    fn levels(&self) -> Vec<Level> {
        let usage = Usage::now();
        // Nothing panics while it holds this lock.
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = rates.since.elapsed();
        if elapsed >= RATES_OVER {
            let per_second = |now: f64, then: f64| (now - then).max(0.0) / elapsed.as_secs_f64();
            *rates = Rates {
                since: Instant::now(),
                cpu: per_second(usage.cpu_s, rates.usage.cpu_s),
                network_in: per_second(usage.network_in_bytes, rates.usage.network_in_bytes),
                network_out: per_second(usage.network_out_bytes, rates.usage.network_out_bytes),
                usage,
                idle_bytes: rates.idle_bytes,
            };
        }
        let calls = (self.calls)() as f64;
        if calls == 0.0 {
            rates.idle_bytes = usage.resident_bytes;
        }
        let level = |name: &'static str, unit: &'static str, value: f64, limit| Level {
            name: name.into(),
            value,
            limit,
            unit: unit.into(),
        };
        let cores = std::thread::available_parallelism().ok().map(|cores| cores.get() as f64);
        let mut levels = vec![
            level("cpu", "cores", rates.cpu, cores),
            level("memory", "bytes", usage.resident_bytes, None),
            level("threads", "threads", usage.threads, None),
            level("open_files", "files", usage.open_files, usage.max_open_files),
            level("network_in", "bytes/s", rates.network_in, None),
            level("network_out", "bytes/s", rates.network_out, None),
        ];
        if calls > 0.0 {
            let theirs = (usage.resident_bytes - rates.idle_bytes).max(0.0);
            levels.push(level("cpu_per_call", "ms/call-s", rates.cpu * 1_000.0 / calls, None));
            levels.push(level("memory_per_call", "bytes", theirs / calls, None));
        }
        levels
    }
}

/// The number behind `name` in a file of lines such as `/proc/self/status`.
fn status_field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Bytes received and sent from `/proc/net/dev`: columns 1 and 9 of every interface but the loopback.
fn network_bytes(dev: &str) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    for line in dev.lines() {
        let Some((interface, counts)) = line.split_once(':') else { continue };
        if interface.trim() == "lo" {
            continue;
        }
        let counts: Vec<f64> = counts.split_whitespace().filter_map(|count| count.parse().ok()).collect();
        sums.0 += counts.first().copied().unwrap_or_default();
        sums.1 += counts.get(8).copied().unwrap_or_default();
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_proc_files() {
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t7\n";
        assert_eq!(status_field(status, "VmRSS:"), Some(2_048.0));
        assert_eq!(status_field(status, "VmSwap:"), None);
        let limits = "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024  4096  files\n";
        assert_eq!(status_field(limits, "Max open files"), Some(1_024.0));
        let dev = "Inter-| Receive | Transmit\n face |bytes packets\n    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n  \
            eth0: 100 1 0 0 0 0 0 0 70 1 0 0 0 0 0 0\n";
        assert_eq!(network_bytes(dev), (100.0, 70.0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let process = Process::new(|| 2);
        let mine = vec![1_u8; 64 << 20];
        let levels = process.levels();
        let value = |name: &str| levels.iter().find(|level| level.name == name).map(|level| level.value);
        assert!(value("memory").is_some_and(|bytes| bytes > 100_000.0), "{levels:?}");
        assert!(value("threads").is_some_and(|threads| threads >= 1.0), "{levels:?}");
        assert!(value("open_files").is_some_and(|files| files >= 1.0), "{levels:?}");
        let each = value("memory_per_call").expect("two calls");
        assert!((16e6..64e6).contains(&each), "two calls share what came after the beginning: {each}");
        assert_eq!(mine.iter().map(|byte| usize::from(*byte)).sum::<usize>(), 64 << 20);
    }
}
