//! The server under test, as a process of its own.
#![allow(dead_code, reason = "each benchmark uses its share")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use antiphon_telemetry::cpu_time;
use anyhow::{Context, bail};

/// A running server; stopped when dropped.
pub(crate) struct Server {
    child: Child,
    address: String,
    _data: tempfile::TempDir,
}

/// What the process has used.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Resident memory, in bytes.
    pub(crate) resident: u64,
}

impl Server {
    /// Starts it with a configuration file of this content.
    pub(crate) fn start(settings: &str) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let config = data.path().join("antiphon.toml");
        std::fs::File::create(&config)?.write_all(settings.as_bytes())?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_antiphon"))
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("cannot start the server")?;
        let stdout = child.stdout.take().context("no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let address = loop {
            let Some(line) = lines.next() else { bail!("the server ended before it listened") };
            if let Some((_, rest)) = line?.split_once("http://") {
                let end =
                    rest.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).unwrap_or(rest.len());
                break rest[..end].to_owned();
            }
        };
        // What else it prints is of no interest, but the pipe must not fill.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address, _data: data })
    }

    /// The address of one of its WebSockets.
    pub(crate) fn socket(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// Reads `/proc`.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let pid = self.child.id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let cpu = cpu_time(&stat).context("stat")?;
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages: u64 = statm.split_whitespace().nth(1).context("statm")?.parse()?;
        // On the machines this runs on, pages are of 4 KiB.
        Ok(Usage { cpu, resident: pages * 4_096 })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
