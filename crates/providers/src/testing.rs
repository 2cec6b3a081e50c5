//! Where tests find models and speech.

use std::path::PathBuf;

/// The folder of the models; `None`, with a word about it, when there is none and this is not CI.
pub(crate) fn models() -> Option<PathBuf> {
    let named = std::env::var_os("ANTIPHON_MODELS").map(PathBuf::from);
    let data = std::env::var_os("ANTIPHON_SERVER__DATA_DIR").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
        home.map(|home| home.join("antiphon"))
    });
    required(
        named.or_else(|| data.map(|data| data.join("models"))),
        "models",
        "`antiphon models pull` fetches them",
    )
}

/// The folder of the given speech; `None`, with a word about it, when there is none and this is not CI.
pub(crate) fn testdata() -> Option<PathBuf> {
    let given = std::env::var_os("ANTIPHON_TESTDATA").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    required(Some(given.unwrap_or_else(beside)), "test data", "name their folder in ANTIPHON_TESTDATA")
}

fn required(path: Option<PathBuf>, what: &str, how: &str) -> Option<PathBuf> {
    let found = path.filter(|path| path.is_dir());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "no {what}: {how}");
    if found.is_none() {
        eprintln!("skipped: no {what}: {how}");
    }
    found
}

/// The samples of a 16-bit mono 16 kHz WAV file.
pub(crate) fn wav16(path: &std::path::Path) -> Vec<i16> {
    let bytes = std::fs::read(path).expect("readable");
    let data = bytes.windows(4).position(|w| w == b"data").expect("a WAV file") + 8;
    bytes[data..].chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
}
