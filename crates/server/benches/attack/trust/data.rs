//! What is left of a person's words where others may look for them: in files, and in the list of cache entries.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::Context;
use tokio::time::sleep;

use super::{LEARNED_NOTHING, STORED, TOLD, settings, tell};
use crate::Bench;
use crate::client::ANSWERED;
use crate::server::Server;
use crate::upstream::{Behaviour, Upstream};

/// Permissions of others than the owner.
const OTHERS: u32 = 0o077;

/// Ada's words are looked for in the data folder after the caches were cleared and when the server has stopped.
pub(super) async fn at_rest(bench: &Bench) -> anyhow::Result<String> {
    let (_upstream, mut server) = start(bench).await?;
    let (modes, data) = (open_to_others(&server.data())?, server.data());
    let clear = Command::new(&bench.program).args(["cache", "clear", "--url", &server.url("")]).output()?;
    anyhow::ensure!(clear.status.success(), "`cache clear` failed");
    sleep(STORED).await;
    let mut learned = Vec::new();
    for (when, stop) in [("after `cache clear`", false), ("after the server's end", true)] {
        if stop {
            server.stop()?;
        }
        let found = holding_words(&data)?;
        if !found.is_empty() {
            learned.push(format!("found Ada's words {when} in {}", found.join(", ")));
        }
    }
    if !modes.is_empty() {
        learned.push(format!("others may open {}", modes.join(", ")));
    }
    Ok(if learned.is_empty() { LEARNED_NOTHING.to_owned() } else { learned.join("; ") })
}

/// Somebody on this machine reads what the caches hold.
pub(super) async fn list_of_entries(bench: &Bench) -> anyhow::Result<String> {
    let (_upstream, server) = start(bench).await?;
    let list = reqwest::Client::new().get(server.url("/api/cache/entries")).timeout(ANSWERED).send().await?;
    let list = list.error_for_status()?.text().await?;
    Ok(if holds_words(list.as_bytes()) { "read what Ada said" } else { LEARNED_NOTHING }.to_owned())
}

/// A server whom Ada told her PIN.
async fn start(bench: &Bench) -> anyhow::Result<(Arc<Upstream>, Server)> {
    let upstream = Upstream::start(Behaviour::RevealsPin).await?;
    let server = Server::start_apart(&bench.program, &settings(&upstream, ""))?;
    tell(&server).await?;
    Ok((upstream, server))
}

/// The names of the files in which Ada's words stand.
fn holding_words(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for path in below(folder)? {
        if path.is_file() && holds_words(&std::fs::read(&path)?) {
            names.push(name(&path, folder));
        }
    }
    Ok(names)
}

fn holds_words(bytes: &[u8]) -> bool {
    let words = TOLD.trim_end_matches('.').as_bytes();
    bytes.windows(words.len()).any(|window| window.eq_ignore_ascii_case(words))
}

/// The names of files and folders that others than their owner may open.
fn open_to_others(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for path in below(folder)? {
        let mode = path.metadata()?.permissions().mode() & 0o777;
        if mode & OTHERS != 0 {
            names.push(format!("{} ({mode:o})", name(&path, folder)));
        }
    }
    Ok(names)
}

/// All that lies in a folder and in those below it, without links.
fn below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            continue;
        }
        if kind.is_dir() {
            paths.extend(below(&entry.path())?);
        }
        paths.push(entry.path());
    }
    Ok(paths)
}

fn name(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}
