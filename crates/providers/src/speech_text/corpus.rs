//! Written text and what is said for it: a corpus of all classes, which is compared word for word.

/// Lines of a class, the written text and the spoken words, with tabs between them.
const CORPUS: &str = include_str!("corpus.tsv");

/// The words alone: neither punctuation nor capitals nor hyphens are heard.
fn words(text: &str) -> String {
    let heard = text.replace('-', " ").to_lowercase();
    let words = heard
        .split_whitespace()
        .map(|word| word.chars().filter(|c| c.is_alphanumeric() || *c == '\'').collect::<String>());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[test]
fn all_lines_of_the_corpus_are_said_word_for_word() {
    let lines: Vec<&str> = CORPUS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let mut wrong = Vec::new();
    for line in &lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[class, written, spoken] = fields.as_slice() else { panic!("three fields: {line}") };
        let said = super::normalise(written);
        if words(&said) != words(spoken) {
            wrong.push(format!("{class}: {written}\n  right {spoken}\n  said  {said}"));
        }
    }
    assert!(lines.len() >= 400, "there are only {} lines", lines.len());
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
}

/// Then a voice speaks a written line exactly as it speaks the line that is spelled out, and no more words of it are lost.
#[test]
fn what_is_spelled_out_is_said_as_it_stands() {
    let lines = CORPUS.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let spoken = lines.filter_map(|line| line.rsplit('\t').next());
    let changed: Vec<_> = spoken.filter(|spoken| words(&super::normalise(spoken)) != words(spoken)).collect();
    assert!(changed.is_empty(), "{} are said otherwise:\n{}", changed.len(), changed.join("\n"));
}
