//! Files and folders that only the user who runs the server may read, because they hold what people said.

use std::fs::{DirBuilder, OpenOptions, Permissions, set_permissions};
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The owner may read and write a file, and nobody else may do anything.
const FILE_MODE: u32 = 0o600;
/// The owner may use a folder, and nobody else may do anything.
const FOLDER_MODE: u32 = 0o700;

/// Makes a folder and those above it that are missing. One that exists stays as it is: it may be shared.
pub fn create_folder(folder: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)
}

/// Closes a folder to everybody else, if it exists. Only for folders that nobody but this program uses.
pub fn tighten_folder(folder: &Path) -> Result<()> {
    tighten(folder, FOLDER_MODE)
}

/// Makes an empty file unless it exists, and closes one that exists to everybody else.
pub fn create_file(path: &Path) -> Result<()> {
    OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(path)?;
    tighten_file(path)
}

/// Closes a file to everybody else, if it exists.
pub fn tighten_file(path: &Path) -> Result<()> {
    tighten(path, FILE_MODE)
}

fn tighten(path: &Path, mode: u32) -> Result<()> {
    match set_permissions(path, Permissions::from_mode(mode)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Replaces a file as a whole, so that a crash leaves either the old or the new one.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let beside = path.with_extension("new");
    create_file(&beside)?;
    let mut file = OpenOptions::new().write(true).truncate(true).open(&beside)?;
    file.write_all(content)?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("exists").permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_and_what_an_earlier_version_made_is_closed_to_others() {
        let place = tempfile::tempdir().expect("a folder");
        let (folder, file) = (place.path().join("a/b"), place.path().join("a/b/words"));
        create_folder(&folder).expect("made");
        assert_eq!((mode(&place.path().join("a")), mode(&folder)), (0o700, 0o700));
        create_file(&file).expect("made");
        assert_eq!(mode(&file), 0o600);
        fs::write(&file, "kept").expect("written");
        for open in [&file, &file.with_extension("new")] {
            fs::write(open, "kept").expect("written");
            fs::set_permissions(open, Permissions::from_mode(0o644)).expect("opened");
        }
        create_file(&file).expect("closed");
        assert_eq!((mode(&file), fs::read(&file).expect("readable")), (0o600, b"kept".to_vec()));
        replace(&file, b"new").expect("replaced");
        assert_eq!((mode(&file), fs::read(&file).expect("readable")), (0o600, b"new".to_vec()));
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("opened");
        create_folder(&folder).expect("exists");
        assert_eq!(mode(&folder), 0o755, "it may be shared");
        tighten_folder(&folder).expect("closed");
        assert_eq!(mode(&folder), 0o700);
        tighten_file(&folder.join("missing")).expect("nothing to close");
    }
}
