//! Where tests find what they read.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file or folder of the test data in the repository, such as `read_speech/spk1_snt1.wav`.
pub fn testdata(name: &str) -> PathBuf {
    there(repository().join("testdata").join(name), "it is part of the repository: `git checkout testdata`")
}

/// The files of a folder of the test data with this extension, in the order of their names.
pub fn testdata_files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(testdata(folder)).expect("a folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension() == Some(OsStr::new(extension)));
    assert!(!files.is_empty(), "no {extension} in testdata/{folder}");
    files.sort();
    files
}

/// The larger test data of benchmarks and evaluations, which is not in the repository: the folder that
/// `ANTIPHON_TESTDATA` names, else `../shared/testdata` beside the repository.
pub fn large_testdata() -> PathBuf {
    let beside = || repository().join("../shared/testdata");
    let folder = std::env::var_os("ANTIPHON_TESTDATA").map_or_else(beside, PathBuf::from);
    there(folder, "name the folder of the larger test data in ANTIPHON_TESTDATA")
}

/// The samples of a 16-bit mono WAV file of the test data.
pub fn wav16(name: &str) -> Vec<i16> {
    let bytes = std::fs::read(testdata(name)).expect("readable");
    let data = bytes.windows(4).position(|window| window == b"data").expect("a WAV file") + 8;
    bytes[data..].as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect()
}

/// The folder of the models, found as the server finds it.
pub fn models() -> PathBuf {
    let models = variable("ANTIPHON_MODELS").unwrap_or_else(|| data_dir().join("models"));
    there(models, "`make models` fetches them")
}

fn data_dir() -> PathBuf {
    variable("ANTIPHON_SERVER__DATA_DIR").unwrap_or_else(|| {
        let home = || variable("HOME").expect("HOME is set").join(".local/share");
        variable("XDG_DATA_HOME").unwrap_or_else(home).join("antiphon")
    })
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

/// Something of `tests/clients` that `scripts/setup-test.sh` installs, such as `.venv/bin/python`.
pub fn client(name: &str) -> PathBuf {
    there(repository().join("tests/clients").join(name), "scripts/setup-test.sh installs it")
}

fn there(path: PathBuf, otherwise: &str) -> PathBuf {
    assert!(path.exists(), "{} is missing: {otherwise}", path.display());
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clone stays small.
    const MAX_BYTES: u64 = 8_000_000;

    #[test]
    fn every_folder_of_the_test_data_tells_its_licence_and_all_of_it_is_small() {
        let readme = std::fs::read_to_string(testdata("README.md")).expect("readable");
        let mut folders = 0;
        for entry in std::fs::read_dir(testdata("")).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(OsStr::to_str).expect("a name");
            if path.is_dir() {
                assert!(
                    readme.contains(&format!("\n## {name}\n")),
                    "testdata/README.md does not tell of {name}"
                );
                folders += 1;
            }
        }
        assert_eq!(readme.matches("\nLicence: ").count(), folders, "one licence a folder");
        let bytes = size(&testdata(""));
        assert!(bytes <= MAX_BYTES, "testdata holds {bytes} bytes");
    }

    fn size(path: &Path) -> u64 {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).expect("a folder");
            entries.map(|entry| size(&entry.expect("an entry").path())).sum()
        } else {
            path.metadata().expect("a file").len()
        }
    }

    #[test]
    #[should_panic(expected = "nothing.wav is missing: it is part of the repository")]
    fn what_is_missing_is_said() {
        testdata("nothing.wav");
    }
}
