//! Source files must not import each other in a loop, so that each can be understood, tested and moved without
//! the others.
//!
//! Seen from outside, a module and its children count as one. Among themselves, the children must not form a loop
//! either. Imports between a module and its own descendants do not count, and neither do tests and benchmarks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use crate::modules::{Crate, Import};
use crate::source::root;

#[test]
fn no_source_files_import_each_other_in_a_loop() {
    let mut complaints = String::new();
    for folder in std::fs::read_dir(root().join("crates")).expect("the crates") {
        let folder = folder.expect("a crate").path();
        // The folder of the crates also contains a README.
        if !folder.is_dir() {
            continue;
        }
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let roots = ["src/lib.rs", "src/main.rs"].map(|root| folder.join(root));
        let krate = Crate::read(roots.iter().find(|root| root.is_file()).expect("a root"));
        for found in loops(&krate) {
            write!(complaints, "{name}: {}\n{}", found.members.join(", "), found.imports).expect("text");
        }
    }
    assert!(complaints.is_empty(), "loops of imports:\n{complaints}");
}

struct Loop {
    /// The modules in the loop, sorted.
    members: Vec<String>,
    /// The imports between the members, one on each line.
    imports: String,
}

/// All loops in a crate: for each module, the loops among its children.
fn loops(krate: &Crate) -> Vec<Loop> {
    let imports = krate.imports();
    let mut found = Vec::new();
    for parent in 0..krate.modules.len() {
        let mut between: BTreeMap<(usize, usize), Vec<&Import>> = BTreeMap::new();
        for import in &imports {
            if let Some(from) = child_of(krate, parent, import.from)
                && let Some(to) = child_of(krate, parent, import.to)
                && from != to
            {
                between.entry((from, to)).or_default().push(import);
            }
        }
        for members in circles(&between.keys().copied().collect()) {
            let inside = |(from, to): &(usize, usize)| members.contains(from) && members.contains(to);
            let imports = between.iter().filter(|(ends, _)| inside(ends)).flat_map(|(_, imports)| imports);
            let imports = imports.fold(String::new(), |text, import| text + &line(krate, import));
            let mut members: Vec<String> =
                members.iter().map(|member| krate.modules[*member].path.clone()).collect();
            members.sort();
            found.push(Loop { members, imports });
        }
    }
    found
}

fn line(krate: &Crate, import: &Import) -> String {
    let [from, to] = [import.from, import.to].map(|module| &krate.modules[module]);
    let file = from.file.strip_prefix(root()).unwrap_or(&from.file);
    format!("    {}:{} imports {}\n", file.display(), import.line, to.path)
}

/// The child of `parent` that is this module or contains it.
fn child_of(krate: &Crate, parent: usize, module: usize) -> Option<usize> {
    let mut at = module;
    loop {
        match krate.modules[at].parent? {
            above if above == parent => return Some(at),
            above => at = above,
        }
    }
}

/// Groups of nodes in which each node can be reached from every other.
fn circles(edges: &BTreeSet<(usize, usize)>) -> Vec<BTreeSet<usize>> {
    let reachable = |start: usize| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
        while let Some(node) = next.pop() {
            next.extend(
                edges.iter().filter(|(from, to)| *from == node && seen.insert(*to)).map(|(_, to)| *to),
            );
        }
        seen
    };
    let reached: BTreeMap<usize, BTreeSet<usize>> =
        edges.iter().map(|(from, _)| (*from, reachable(*from))).collect();
    let mut circles: BTreeSet<BTreeSet<usize>> = BTreeSet::new();
    for (node, others) in &reached {
        if others.contains(node) {
            let back = |other: &usize| reached.get(other).is_some_and(|from_there| from_there.contains(node));
            circles.insert(others.iter().copied().filter(back).collect());
        }
    }
    circles.into_iter().collect()
}

#[test]
fn loops_are_found_through_re_exports_and_expressions_and_not_in_tests() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("loops");
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d; mod e; pub use b::{B, Other as Renamed};"),
        // Imports b through a re-export in the root, under another name.
        ("a.rs", "mod deep; use crate::{Renamed, d::D}; pub struct A; fn of_child() { deep::f() }"),
        // Imports a child of a in an expression, which closes the loop, because a and its children count as one.
        ("b.rs", "use std::fmt; pub struct B; pub struct Other; fn f() { crate::a::deep::f() }"),
        // Imports between a child and its parent do not count.
        ("a/deep.rs", "use super::A; pub fn f() {}"),
        ("c.rs", "use super::d::*; pub struct C;"),
        ("d.rs", "pub struct D; #[cfg(test)] use crate::c::C; #[cfg(test)] mod tests { use crate::c::C; }"),
        // Comments and strings do not count as imports.
        ("e.rs", "use crate::c::C; // crate::a::A\n const TEXT: &str = \"crate::a::A\";"),
    ];
    std::fs::create_dir_all(folder.join("a")).expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("a file");
    }
    let found = loops(&Crate::read(&folder.join("lib.rs")));
    let members: Vec<&[String]> = found.iter().map(|found| &found.members[..]).collect();
    assert_eq!(members, [["a", "b"]]);
    assert_eq!(found[0].imports.lines().count(), 2, "{}", found[0].imports);
}
