//! Downloads one package with pip or npm, which most machines have, and unpacks it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longest time for one package. 100 MB at 1 Mbit/s take 14 minutes.
const WITHIN: Duration = Duration::from_mins(15);
/// How often the size of a running download is read, for the progress bar.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The program that downloads a package.
pub(super) enum Manager {
    /// pip, with the command that runs it.
    Pip(&'static [&'static str]),
    Npm,
}

impl Manager {
    /// The package manager for a source such as `pypi:NAME==VERSION`, and the package. Fails if the manager is
    /// not installed.
    pub(super) fn of(source: &str) -> Result<(Self, &str)> {
        match source.split_once(':') {
            Some(("pypi", package)) => {
                const PIPS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];
                let Some(pip) = PIPS.into_iter().find(|pip| works(pip)) else {
                    bail!("it is fetched with pip, which is not installed: apt install python3-pip");
                };
                Ok((Self::Pip(pip), package))
            }
            Some(("npm", package)) if works(&["npm"]) => Ok((Self::Npm, package)),
            Some(("npm", _)) => {
                bail!("it is fetched with npm, which is not installed: apt install npm")
            }
            _ => bail!("{source} is not a package: give pypi:NAME==VERSION or npm:NAME==VERSION"),
        }
    }

    /// Downloads the package into a folder. `progress` is called with the number of bytes downloaded so far.
    pub(super) fn download(&self, package: &str, to: &Path, progress: impl Fn(u64)) -> Result<PathBuf> {
        let log = to.join("log");
        let (name, mut command) = match self {
            Self::Pip(pip) => ("pip", pip_download(pip, package, to)),
            Self::Npm => ("npm", npm_pack(package, to)),
        };
        let command = command.env("TMPDIR", to).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(File::create(&log)?).spawn()?;
        let status = wait(&mut child, || progress(used(to)))?;
        if !status {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            let said = log.lines().rev().find(|line| line.to_uppercase().contains("ERR"));
            let said = said.unwrap_or("it does not say why");
            bail!("{name} could not download it ({said}); is there a network, and space on the disk?");
        }
        let mut entries = std::fs::read_dir(to)?.filter_map(|entry| Some(entry.ok()?.path()));
        let archive = |path: &PathBuf| path.extension().is_some_and(|e| e == "whl" || e == "tgz");
        entries.find(archive).with_context(|| format!("{name} downloaded no package"))
    }
}

fn works(command: &[&str]) -> bool {
    let run = Command::new(command[0]).args(&command[1..]).arg("--version").output();
    run.is_ok_and(|output| output.status.success())
}

fn pip_download(pip: &[&str], package: &str, to: &Path) -> Command {
    let mut command = Command::new(pip[0]);
    command
        .args(&pip[1..])
        .args(["download", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"])
        // The hash belongs to one build of each library, so that build is downloaded whatever Python is installed.
        .args(["--progress-bar", "off", "--only-binary=:all:", "--python-version", "3.11", "-d"])
        .arg(to)
        .arg(package);
    command
}

fn npm_pack(package: &str, to: &Path) -> Command {
    let mut command = Command::new("npm");
    command.args(["pack", "--silent", "--no-update-notifier", "--pack-destination"]).arg(to);
    command.arg("--cache").arg(to.join("cache")).arg(package.replace("==", "@"));
    command
}

/// Waits for a command, and returns whether it succeeded.
#[expect(clippy::disallowed_methods, reason = "waits for another process")]
fn wait(child: &mut Child, look: impl Fn()) -> Result<bool> {
    let until = Instant::now() + WITHIN;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            bail!("the download was not complete after {} minutes", WITHIN.as_secs() / 60);
        }
        look();
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Size of all files in a folder, in bytes.
fn used(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let meta = entry.metadata().ok()?;
            Some(if meta.is_dir() { used(&entry.path()) } else { meta.len() })
        })
        .sum()
}

/// Extracts a file from an archive: at most `limit` bytes, whatever size the archive claims.
pub(super) fn extract(archive: &Path, inside: &str, limit: u64, to: &Path) -> Result<()> {
    let file = File::open(archive)?;
    let missing = || format!("the package has no {inside}");
    if archive.extension().is_some_and(|extension| extension == "whl") {
        let mut archive = zip::ZipArchive::new(file).context("the package is no archive")?;
        let packed = archive.by_name(inside).with_context(missing)?;
        return write(packed, limit, to);
    }
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    for entry in archive.entries().context("the package is no archive")? {
        let entry = entry.context("the package is broken")?;
        if entry.path()?.to_str() == Some(inside) {
            return write(entry, limit, to);
        }
    }
    bail!(missing())
}

fn write(packed: impl Read, limit: u64, to: &Path) -> Result<()> {
    let mut out = File::create(to)?;
    io::copy(&mut packed.take(limit), &mut out)
        .with_context(|| format!("cannot write {}: is the disk full?", to.display()))?;
    Ok(out.sync_all()?)
}
