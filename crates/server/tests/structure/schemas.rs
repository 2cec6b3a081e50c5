//! Types that `/openapi.json` describes must have names of their own: of two with the same name it describes one, and clients are told
//! wrong things of the other.

use std::collections::BTreeMap;

use crate::source::{Source, read, root, rust_files};

#[test]
fn described_types_have_names_of_their_own() {
    let root = root();
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in rust_files(&root.join("crates")) {
        let file = path.strip_prefix(&root).expect("under the root").display().to_string();
        for name in described(&read(&path)) {
            places.entry(name).or_default().push(file.clone());
        }
    }
    assert!(places.len() > 30, "they are found: {places:?}");
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "name these after what they are part of: {places:#?}");
}

/// The names of the types that derive `ToSchema`.
fn described(source: &Source) -> Vec<String> {
    let texts: Vec<&str> = source.tokens.iter().map(|token| token.text.as_str()).collect();
    let derived = texts.iter().enumerate().filter(|(at, text)| {
        // Imports name it, too.
        let derive = texts[..*at].iter().rposition(|text| *text == "derive");
        **text == "ToSchema" && derive.is_some_and(|derive| !texts[derive..*at].contains(&")"))
    });
    let named = derived.filter_map(|(at, _)| {
        let keyword = texts[at..].iter().position(|text| matches!(*text, "struct" | "enum"))?;
        texts.get(at + keyword + 1).map(|name| (*name).to_owned())
    });
    named.collect()
}

#[test]
fn a_described_type_is_found() {
    let text = "use utoipa::{ToSchema, X};\n#[derive(Clone, ToSchema)]\n#[serde(untagged)]\npub(super) enum A { B }\n\
        #[derive(ToSchema, Clone)] struct C;\nstruct D;";
    assert_eq!(described(&crate::source::take_apart(text)), ["A", "C"]);
}
