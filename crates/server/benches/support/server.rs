//! The server under test, which runs as a separate process.
#![allow(dead_code, reason = "each benchmark uses its share")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use antiphon_telemetry::cpu_time;
use anyhow::{Context, bail};
use tempfile::TempDir;

/// An environment variable of servers that are started apart, which is set but empty.
pub(crate) const EMPTY_VARIABLE: &str = "ANTIPHON_BENCH_EMPTY";
/// The folder of the data, and the file of the log, of a server that is started apart.
const DATA: &str = "data";
const LOG: &str = "log";

/// A running server, which is stopped when it is dropped.
pub(crate) struct Server {
    child: Child,
    address: String,
    folder: TempDir,
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
        let folder = tempfile::tempdir()?;
        let command = serve(program, folder.path(), settings)?;
        Self::listening(command, folder)
    }

    /// The same with data of its own: nothing is there at first but the models. What it logs is kept for [`Self::log`], and
    /// [`EMPTY_VARIABLE`] is set for it.
    pub(crate) fn start_apart(program: &str, settings: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join(DATA);
        std::fs::create_dir(&data)?;
        std::os::unix::fs::symlink(antiphon_testkit::models().canonicalize()?, data.join("models"))?;
        let mut command = serve(program, folder.path(), settings)?;
        command.env("ANTIPHON_SERVER__DATA_DIR", &data).env(EMPTY_VARIABLE, "");
        command.stderr(File::create(folder.path().join(LOG))?);
        Self::listening(command, folder)
    }

    /// Starts this program, and waits until it listens.
    fn listening(mut command: Command, folder: TempDir) -> anyhow::Result<Self> {
        // Clients of the server need it; an error means that it is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start the server")?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let mut server = Self { child, address: String::new(), folder };
        server.address = loop {
            let Some(line) = lines.next() else {
                bail!(
                    "the server did not start: {}",
                    server.log().lines().last().unwrap_or("it says nothing")
                )
            };
            if let Some((_, rest)) = line?.split_once("http://") {
                let end =
                    rest.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).unwrap_or(rest.len());
                break rest[..end].to_owned();
            }
        };
        // The rest of the output is discarded, but it must be read so that the pipe does not fill.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }

    /// Asks the server to stop, as an operator does, and waits until it has.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status()?;
        anyhow::ensure!(asked.success(), "the server has ended before");
        self.child.wait()?;
        Ok(())
    }

    /// What a server that was started apart has logged.
    pub(crate) fn log(&self) -> String {
        // Old builds may log what is no UTF-8.
        let logged = std::fs::read(self.folder.path().join(LOG)).unwrap_or_default();
        String::from_utf8_lossy(&logged).into_owned()
    }

    /// Where a server that was started apart keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join(DATA)
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

/// Prepares to start this program with this text as its configuration file.
fn serve(program: &str, folder: &Path, settings: &str) -> anyhow::Result<Command> {
    let config = folder.join("antiphon.toml");
    std::fs::write(&config, settings)?;
    let mut command = Command::new(program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(&config);
    Ok(command)
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended already, and then this fails without harm.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
