//! What the process uses, read from `/proc`. On systems other than Linux the values are zero or left out.

use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use antiphon_core::lock;
use antiphon_core::measure::{Component, Level};

/// Length of a clock tick in `/proc`: `USER_HZ` is 100 on every Linux that this builds for (proc(5)).
const PROC_TICK: Duration = Duration::from_millis(10);
/// Rates are averaged over at least this long, because the clock of `/proc` ticks only every 10 ms.
const RATES_OVER: Duration = Duration::from_secs(1);

/// What the process has used since it started, and what it holds now.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessUsage {
    /// User and system time in seconds.
    pub cpu_s: f64,
    /// Resident memory in bytes.
    pub resident_bytes: f64,
    /// Threads of the operating system.
    pub threads: f64,
    /// Files that are open.
    pub open_files: f64,
    /// The system's limit of open files.
    pub max_open_files: Option<f64>,
    /// Bytes that this machine, or this container, has received over its network interfaces without the loopback.
    pub network_in_bytes: f64,
    /// Bytes sent over the same interfaces.
    pub network_out_bytes: f64,
}

impl ProcessUsage {
    /// Reads the present values; zero where they are not known.
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

/// The process as a component: CPU, memory, threads, files and network.
pub struct Process {
    calls: Box<dyn Fn() -> usize + Send + Sync>,
    rates: Mutex<Rates>,
}

struct Rates {
    /// When the rates were last computed.
    since: Instant,
    /// What had been used when the rates were last computed.
    usage: ProcessUsage,
    /// The use of CPU in cores.
    cpu: f64,
    /// The rate of received data in bytes a second.
    network_in: f64,
    /// The rate of sent data in bytes a second.
    network_out: f64,
    /// Resident bytes when there were last no calls. What the process holds beyond them is put down to its calls.
    idle_bytes: f64,
}

impl Process {
    /// `calls` returns the number of active calls, by which CPU and memory are divided.
    pub fn new(calls: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        let usage = ProcessUsage::now();
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
        let usage = ProcessUsage::now();
        let mut rates = lock(&self.rates);
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
        let cores = std::thread::available_parallelism().ok().map(|cores| cores.get() as f64);
        let mut levels = vec![
            Level::new("cpu", rates.cpu, "cores").with_limit(cores),
            Level::new("memory", usage.resident_bytes, "bytes"),
            Level::new("threads", usage.threads, "threads"),
            Level::new("open_files", usage.open_files, "files").with_limit(usage.max_open_files),
            Level::new("network_in", rates.network_in, "bytes/s"),
            Level::new("network_out", rates.network_out, "bytes/s"),
        ];
        if calls > 0.0 {
            let of_calls = (usage.resident_bytes - rates.idle_bytes).max(0.0);
            levels.push(Level::new("cpu_per_call", rates.cpu * 1_000.0 / calls, "ms/call-s"));
            levels.push(Level::new("memory_per_call", of_calls / calls, "bytes"));
        }
        levels
    }
}

/// User and system time from the text of `/proc/PID/stat`: fields 14 and 15. The program's name in field 2 may
/// contain spaces and parentheses, so fields are counted from the last closing parenthesis.
pub fn cpu_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(PROC_TICK * ticks()? + PROC_TICK * ticks()?)
}

/// The number after `name` in a file of lines such as `/proc/self/status`.
fn status_field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Bytes received and sent, from `/proc/net/dev`: columns 1 and 9 of every interface except the loopback.
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

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "12 (a) b (c)) S 1 1 1 0 -1 4194560 5 0 0 0 150 50 7 7 20 0 1 0 9 9 9";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(2)));
        for text in ["", "garbage", "12 (a", "12 (a) S 1"] {
            assert_eq!(cpu_time(text), None, "{text}");
        }
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
