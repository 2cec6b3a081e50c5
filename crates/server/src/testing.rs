//! Where tests find the given data.

use std::path::PathBuf;

/// The folder of the given data; `None`, with a word about it, when there is none and this is not CI.
pub(crate) fn testdata() -> Option<PathBuf> {
    let given = std::env::var_os("ANTIPHON_TESTDATA").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    let found = Some(given.unwrap_or_else(beside)).filter(|path| path.is_dir());
    assert!(
        found.is_some() || std::env::var_os("CI").is_none(),
        "no test data: name its folder in ANTIPHON_TESTDATA"
    );
    if found.is_none() {
        eprintln!("skipped: no test data: name its folder in ANTIPHON_TESTDATA");
    }
    found
}
