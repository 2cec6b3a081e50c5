pub(super) fn clauses(text: &str) -> Vec<String> {
    text.split_inclusive(['.', '!', '?']).map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
}
