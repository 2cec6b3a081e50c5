//! The server under test, as a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

/// Silence that ends a turn.
pub(crate) const SILENCE_MS: u64 = 500;
const STT_MS: u64 = 100;
const FIRST_TOKEN_MS: u64 = 200;
const TOKEN_MS: u64 = 10;
const FIRST_AUDIO_MS: u64 = 80;
/// Tokens until the first clause of the simulated text is complete.
const FIRST_CLAUSE_TOKENS: u64 = 8;
/// No engine overhead at all, and every stage after the other.
pub(crate) const FLOOR_MS: u64 =
    SILENCE_MS + STT_MS + FIRST_TOKEN_MS + TOKEN_MS * FIRST_CLAUSE_TOKENS + FIRST_AUDIO_MS;

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
    /// Bytes.
    pub(crate) resident: u64,
}

impl Server {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let config = data.path().join("antiphon.toml");
        std::fs::File::create(&config)?.write_all(settings().as_bytes())?;
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

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/telephony/twilio/media", self.address)
    }

    /// Reads `/proc`.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let pid = self.child.id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages: u64 = statm.split_whitespace().nth(1).context("statm")?.parse()?;
        // Linux counts in hundredths of a second and, on the machines this runs on, pages of 4 KiB.
        Ok(Usage { cpu: Duration::from_millis(ticks * 10), resident: pages * 4_096 })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings() -> String {
    format!(
        r#"
[server.limits]
max_calls = 5000
[vad]
engine = "silero"
[turn]
engine = "silence"
silence_ms = {SILENCE_MS}
[stt]
engine = "sim"
delay_ms = {STT_MS}
text = "What is the status of my order?"
[llm]
engine = "sim"
first_token_ms = {FIRST_TOKEN_MS}
token_ms = {TOKEN_MS}
tokens = 20
text = "Your order has been shipped and will arrive, if nothing happens on the way, on Thursday before noon."
[tts]
engine = "sim"
first_audio_ms = {FIRST_AUDIO_MS}
audio_ms = 2000
realtime = true
[embed]
engine = "sim"
[telemetry]
log = "warn"
"#
    )
}
