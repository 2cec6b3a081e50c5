//! Every public trait of core shows an implementation that runs, because whoever writes a provider begins there.

use crate::source::{Source, read, root, rust_files};

/// The public traits of a file whose comment has no example: their names and lines.
fn without_example(source: &Source) -> Vec<(&str, usize)> {
    let traits = source.tokens.windows(3).filter(|three| three[0].text == "pub" && three[1].text == "trait");
    let without = traits.filter(|three| {
        let above = source.comments.iter().rfind(|comment| comment.line < three[0].line);
        !above.is_some_and(|comment| comment.text.contains("# Example\n") && comment.text.contains("```\n"))
    });
    without.map(|three| (three[2].text.as_str(), three[0].line)).collect()
}

#[test]
fn public_traits_of_core_have_examples() {
    let files = rust_files(&root().join("crates/core/src"));
    let missing: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let source = read(file);
            let lines = without_example(&source).into_iter();
            lines.map(|(name, line)| format!("{}:{line}: {name}", file.display())).collect::<Vec<_>>()
        })
        .collect();
    assert!(
        missing.is_empty(),
        "each of these needs a section `# Example` with code that runs:\n{}",
        missing.join("\n")
    );
}

#[test]
fn a_trait_without_example_is_found() {
    let with =
        crate::source::take_apart("/// One.\n///\n/// # Example\n///\n/// ```\n/// ```\npub trait A {}\n");
    assert_eq!(without_example(&with), []);
    let without = crate::source::take_apart("/// One.\npub trait A: Send {}\ntrait Private {}\n");
    assert_eq!(without_example(&without), [("A", 2)]);
}
