//! The machine on which the program runs and the commit from which it was built. Measurements are only compared when
//! both are known, because results of one machine say nothing about another.

use std::fs;

/// A short description of the machine: processor, cores, memory. It is the same for every run on this machine.
pub fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model.trim());
    let cores = cores();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    let gib = kib.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / f64::from(1 << 20);
    format!("{model}, {cores} cores, {gib:.0} GiB")
}

/// How many threads can run at the same time.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The commit from which the program was built; `unknown` if it was not recorded.
pub fn commit() -> &'static str {
    option_env!("ANTIPHON_COMMIT").unwrap_or("unknown")
}
