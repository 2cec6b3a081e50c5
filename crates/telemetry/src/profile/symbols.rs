//! Names of addresses, from the symbols and line tables of the mapped files.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use addr2line::Loader;
use addr2line::demangle_auto;

use super::modules::mapped;

/// The function at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) name: String,
    pub(super) location: Option<String>,
}

/// The names of some addresses.
pub(super) struct Symbols {
    frames: HashMap<u64, Frame>,
}

impl Symbols {
    /// Looks up all addresses. Each file is read once and then released, because line tables are large.
    pub(super) fn new(addresses: impl Iterator<Item = u64>) -> Self {
        let wanted: BTreeSet<u64> = addresses.collect();
        let mut frames = HashMap::new();
        for mapped in mapped() {
            let mut inside = wanted.range(mapped.start..mapped.end).peekable();
            if inside.peek().is_none() {
                continue;
            }
            let loader = Loader::new(&mapped.path).ok();
            let file =
                mapped.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            for address in inside {
                let probe = address.wrapping_sub(mapped.bias);
                let found = loader.as_ref().and_then(|loader| look_up(loader, probe));
                let unknown = || Frame { name: format!("[{file}]"), location: None };
                frames.insert(*address, found.unwrap_or_else(unknown));
            }
        }
        Self { frames }
    }

    /// The function at an address; `None` if no mapped file contains it.
    pub(super) fn frame(&self, address: u64) -> Option<&Frame> {
        self.frames.get(&address)
    }
}

/// Looks up one address. The symbol table gives the full name of the function, the line table its file and line.
fn look_up(loader: &Loader, probe: u64) -> Option<Frame> {
    let symbol = loader.find_symbol(probe)?;
    let mut location = None;
    if let Ok(mut inlined) = loader.find_frames(probe) {
        while let Ok(Some(frame)) = inlined.next() {
            location = frame.location.and_then(|at| Some((short(Path::new(at.file?)), at.line)));
        }
    }
    let location =
        location.map(|(file, line)| line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")));
    Some(Frame { name: readable(&demangle_auto(symbol.into(), None)), location })
}

/// The last folders of a path, which say enough and nothing of the machine on which it was built.
fn short(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    // A dependency's path is cut before its own folder, three levels below the folder `registry`.
    let registry = parts.iter().position(|part| *part == "registry").map_or(0, |at| at + 3);
    let parts = &parts[registry.max(parts.len().saturating_sub(4)).min(parts.len())..];
    parts.join("/").trim_start_matches('/').to_owned()
}

/// Removes the hash that Rust appends, so that a function has the same name in two builds.
fn readable(name: &str) -> String {
    let hash = name.rfind("::h").filter(|at| {
        let hash = &name[at + 3..];
        hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit())
    });
    name[..hash.unwrap_or(name.len())].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn like_no_other(n: u64) -> u64 {
        std::hint::black_box(n).rotate_left(17) ^ 0x5eed_1e55_c0de
    }

    #[test]
    fn a_function_has_its_whole_name() {
        assert_ne!(like_no_other(1), 1);
        let address = (like_no_other as fn(u64) -> u64 as usize as u64) + 1;
        let symbols = Symbols::new(std::iter::once(address));
        let name = symbols.frame(address).map(|frame| frame.name.as_str());
        assert!(name.is_some_and(|n| n.ends_with("profile::symbols::tests::like_no_other")), "{name:?}");
        assert_eq!(symbols.frame(1), None);
    }

    #[test]
    fn hashes_and_machines_are_left_out() {
        assert_eq!(readable("a::b::h0123456789abcdef"), "a::b");
        assert_eq!(readable("a::hello"), "a::hello");
        assert_eq!(short(Path::new("/home/x/project/crates/core/src/a.rs")), "crates/core/src/a.rs");
    }
}
