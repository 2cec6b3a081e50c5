//! Cuts a text in words into sentences that a voice says one after the other.

use super::words::is_number_word;

/// Sentences longer than this, in bytes, are cut at a space, which limits one synthesis to about 15 s of ordinary speech. A word
/// stays whole: only its phonemes tell how long it is.
const LONGEST: usize = 220;
/// A sentence that is longer than this, in bytes, is cut even inside a number: it is no number that anybody says.
const LONGEST_NUMBER: usize = 2 * LONGEST;
/// Sentences of at most this many bytes are joined with the next one: a voice needs some text for its intonation, and
/// "Dr." is no sentence.
const SHORTEST: usize = 20;

/// The words that go on with a number in words.
const PARTS_OF_NUMBERS: &[&str] = &[
    "hundred", "thousand", "million", "billion", "trillion", "point", "percent", "dollars", "dollar",
    "euros", "pounds", "cents", "degrees", "o'clock", "oh", "A", "P",
];

/// The sentences of a normalised text.
pub fn sentences(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut sentence = String::new();
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next() {
        if !sentence.is_empty() {
            sentence.push(' ');
        }
        sentence.push_str(word);
        let ends = word.ends_with(['.', '!', '?'])
            && words.peek().is_none_or(|w| !w.starts_with(char::is_lowercase));
        let inside = words.peek().is_some_and(|next| is_inside_number(word, next));
        let long = sentence.len() > LONGEST && (!inside || sentence.len() > LONGEST_NUMBER);
        if (ends && sentence.len() > SHORTEST) || long {
            all.push(std::mem::take(&mut sentence));
        }
    }
    if sentence.chars().any(char::is_alphanumeric) {
        all.push(sentence);
    }
    all
}

/// Whether two words belong to one number or one amount: nobody breathes between them.
fn is_inside_number(word: &str, next: &str) -> bool {
    let part = |word: &str| {
        let word = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        is_number_word(word) || PARTS_OF_NUMBERS.contains(&word)
    };
    word.ends_with(char::is_alphanumeric) && part(word) && part(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_cut_where_they_end() {
        let text = "It is noon at the station. The train leaves, as always, at Dr. Smith's. Bye.";
        let cut = sentences(text);
        assert_eq!(cut[0], "It is noon at the station.");
        assert_eq!(cut.concat().len() + cut.len() - 1, text.len());
    }

    #[test]
    fn no_sentence_is_cut_inside_a_number() {
        for before in 190..LONGEST {
            let text = format!(
                "{} is two million five hundred thousand dollars today",
                "a ".repeat(before / 2).trim()
            );
            let cut = sentences(&text);
            let amount = "two million five hundred thousand dollars";
            assert!(cut.iter().any(|sentence| sentence.contains(amount)), "{cut:?}");
        }
        assert!(sentences(&"one ".repeat(1_000)).iter().all(|sentence| sentence.len() <= LONGEST_NUMBER + 4));
    }
}
