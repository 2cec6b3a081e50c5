//! The words of a text as they are compared.

/// The words in small letters, without the punctuation around each.
pub(super) fn bare_words(text: &str) -> Vec<String> {
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    text.split_whitespace().map(bare).filter(|word| !word.is_empty()).collect()
}
