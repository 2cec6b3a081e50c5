//! A Redis server of the test's own.
#![expect(clippy::disallowed_methods, reason = "waits for another process")]

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::repository;

/// It is there in a few milliseconds; a busy machine takes longer.
const START_WITHIN: Duration = Duration::from_mins(1);
/// A free port may be somebody else's before it is ours.
const TRIES: usize = 5;

/// A server on a port of this machine, with a folder of its own; killed when dropped. What it was told it keeps in an
/// append-only file, so that it is still there after a restart.
pub struct RedisServer {
    program: PathBuf,
    arguments: Vec<String>,
    folder: TempDir,
    port: u16,
    process: Child,
}

impl RedisServer {
    /// Starts it, with these arguments beside its own.
    pub fn start(arguments: &[&str]) -> io::Result<Self> {
        let program = program()?;
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut tries = 0;
        loop {
            let (folder, port) = (TempDir::new()?, free_port()?);
            let process = spawn(&program, folder.path(), port, &arguments)?;
            let mut server =
                Self { program: program.clone(), arguments: arguments.clone(), folder, port, process };
            tries += 1;
            match server.wait() {
                Ok(()) => return Ok(server),
                Err(error) if tries == TRIES => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// The port on 127.0.0.1 where the server listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens, as clients want to be told.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection that nothing else uses; it blocks.
    pub fn connection(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(self.url())?.get_connection_with_timeout(START_WITHIN)
    }

    /// With SIGKILL: it has no time to put anything in order.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    /// Starts it again, on the same port.
    pub fn restart(&mut self) -> io::Result<()> {
        self.process = spawn(&self.program, self.folder.path(), self.port, &self.arguments)?;
        self.wait()
    }

    /// Sends it a signal: "STOP", "CONT".
    pub fn signal(&self, name: &str) -> io::Result<()> {
        let sent =
            Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status()?;
        if sent.success() { Ok(()) } else { Err(io::Error::other("the signal was not sent")) }
    }

    /// Until it answers, be it that it wants a password.
    fn wait(&mut self) -> io::Result<()> {
        let end = Instant::now() + START_WITHIN;
        while Instant::now() < end {
            if let Some(status) = self.process.try_wait()? {
                return Err(io::Error::other(format!("redis-server ended at once: {status}")));
            }
            match self.connection().and_then(|mut it| redis::cmd("PING").exec(&mut it)) {
                Ok(()) => return Ok(()),
                Err(error) if error.code() == Some("NOAUTH") => return Ok(()),
                Err(_) => sleep(Duration::from_millis(10)),
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "redis-server does not answer"))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A port that nobody listens on at present.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn spawn(program: &Path, folder: &Path, port: u16, arguments: &[String]) -> io::Result<Child> {
    let port = port.to_string();
    Command::new(program)
        .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "yes"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
}

/// That of the machine, or the one that scripts/setup-test.sh put beside the clients.
fn program() -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain([repository().join("tests/clients/redis")]);
    let found = folders.find_map(|folder| {
        let program = folder.join("redis-server");
        // It is called by this name: the program behind a link does something else under its own.
        program.is_file().then_some(program)
    });
    let missing = || io::Error::new(io::ErrorKind::NotFound, "scripts/setup-test.sh installs redis-server");
    found.ok_or_else(missing)
}
