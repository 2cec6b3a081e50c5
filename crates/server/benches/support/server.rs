//! The server under test, which runs as a separate process.
#![allow(dead_code, reason = "each benchmark uses its share")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use antiphon_telemetry::cpu_time;
use anyhow::{Context, bail};

/// A running server, which is stopped when it is dropped.
pub(crate) struct Server {
    child: Child,
    address: String,
    _data: tempfile::TempDir,
}

/// The use of CPU and memory by the process.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Resident memory, in bytes.
    pub(crate) resident: u64,
    /// The most that it ever was.
    pub(crate) peak: u64,
}

impl Server {
    /// Starts the server with this text as its configuration file.
    pub(crate) fn start(settings: &str) -> anyhow::Result<Self> {
        Self::start_program(env!("CARGO_BIN_EXE_antiphon"), settings)
    }

    /// The same with another build of the server.
    pub(crate) fn start_program(program: &str, settings: &str) -> anyhow::Result<Self> {
        // Clients of the server need it; an error means that it is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let data = tempfile::tempdir()?;
        let config = data.path().join("antiphon.toml");
        std::fs::File::create(&config)?.write_all(settings.as_bytes())?;
        let mut child = Command::new(program)
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
        // The rest of the output is discarded, but it must be read so that the pipe does not fill.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address, _data: data })
    }

    /// The address that the server listens on.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The URL of one of the server's WebSockets.
    pub(crate) fn socket(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// The URL of one of the server's other paths.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Reads the use of CPU and memory from `/proc`.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let pid = self.child.id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let cpu = cpu_time(&stat).context("stat")?;
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages: u64 = statm.split_whitespace().nth(1).context("statm")?.parse()?;
        // Pages have 4 KiB on the machines on which the benchmarks run.
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("status")?;
        let peak: u64 = peak.split_whitespace().next().context("VmHWM")?.parse()?;
        Ok(Usage { cpu, resident: pages * 4_096, peak: peak * 1_024 })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended already, and then this fails without harm.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
