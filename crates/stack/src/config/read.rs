//! Reads the configuration's files and the environment.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use super::layers::PREFIX;

/// The most bytes of a file. The example file with every key has 30 thousand; whatever is larger is no configuration, and a device
/// would have no end.
const MAX_BYTES: u64 = 1 << 20;

/// The text of a file.
pub(super) fn text(path: &Path) -> Result<String> {
    let name = path.display();
    if path.is_dir() {
        bail!("cannot read {name}: it is a folder; name the file in it, such as {name}/antiphon.toml");
    }
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!("cannot read {name}: it is larger than {MAX_BYTES} bytes, which no configuration is");
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = String::from_utf8_lossy(&error.as_bytes()[..at]).matches('\n').count() + 1;
        anyhow!("{name}:{line}: this line is no valid UTF-8: save the file as UTF-8")
    })
}

/// The variables of an environment that are text. A setting that is none is refused; others are none of our business.
pub(super) fn environment(vars: impl Iterator<Item = (OsString, OsString)>) -> Result<Vec<(String, String)>> {
    let mut read = Vec::new();
    for (name, value) in vars {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => read.push((name, value)),
            Err(_) if name.starts_with(PREFIX) => {
                bail!("{name}: the value is no valid UTF-8: set it anew, or unset it")
            }
            Err(_) => {}
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn refused(bytes: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        let error = format!("{:#}", text(file.path()).expect_err("refused"));
        error.replace(&file.path().display().to_string(), "antiphon.toml")
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_line() {
        assert_eq!(
            refused(b"[turn]\nsilence_ms = 1\n# caf\xE9\n"),
            "antiphon.toml:3: this line is no valid UTF-8: save the file as UTF-8"
        );
        assert!(refused(&vec![b' '; MAX_BYTES as usize + 1]).contains("larger than 1048576 bytes"));
    }

    #[test]
    fn folders_devices_and_missing_files_are_refused() {
        let error = |path: &str| format!("{:#}", text(Path::new(path)).expect_err("refused"));
        assert!(error("/tmp").contains("cannot read /tmp: it is a folder; name the file in it"));
        assert!(error("/dev/zero").contains("larger than"));
        assert!(error("/no/such.toml").contains("cannot read /no/such.toml"));
    }

    #[test]
    fn only_settings_must_be_text() {
        let bad = || OsString::from_vec(vec![0xFF]);
        let others = [("PATH".into(), "/bin".into()), ("LANG".into(), bad()), (bad(), "x".into())];
        let read = environment(others.into_iter()).expect("none of our business");
        assert_eq!(read, [("PATH".to_owned(), "/bin".to_owned())]);
        let setting = [("ANTIPHON_AGENT__GREETING".into(), bad())];
        let error = environment(setting.into_iter()).expect_err("refused").to_string();
        assert!(error.starts_with("ANTIPHON_AGENT__GREETING: the value is no valid UTF-8"), "{error}");
    }
}
