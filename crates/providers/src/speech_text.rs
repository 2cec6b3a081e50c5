//! Turns what a language model writes into text that can be spoken: no markdown, no emoji, everything in words.
//!
//! Each file handles one kind of written form and replaces it with words. They run one after another, from what is
//! recognised most reliably (an address, a date) to what remains (a plain number).

mod abbreviation;
mod acronym;
mod address;
mod date;
mod markup;
mod money;
mod number;
mod pattern;
mod time;
mod unit;
mod words;

pub use words::{cardinal, ordinal};

/// Sentences longer than this, in bytes, are cut at a space, which limits one synthesis to about 15 s of ordinary speech. A word
/// stays whole: only its phonemes tell how long it is.
const LONGEST: usize = 220;
/// Sentences of at most this many bytes are joined with the next one: a voice needs some text for its intonation, and
/// "Dr." is no sentence.
const SHORTEST: usize = 20;

/// The text in words, on one line, with punctuation that makes pauses.
pub fn normalise(text: &str) -> String {
    let plain = markup::strip(text);
    let text = time::say(date::say(address::say(plain)));
    let text = number::say(acronym::say(unit::say(money::say(text))));
    abbreviation::say(&text)
}

/// The text without markup, for voices that turn numbers and signs into words themselves; `None` when nothing in it can
/// be spoken.
pub fn plain(text: &str) -> Option<String> {
    let plain = markup::strip(text);
    plain.contains(char::is_alphanumeric).then_some(plain)
}

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
        if (ends && sentence.len() > SHORTEST) || sentence.len() > LONGEST {
            all.push(std::mem::take(&mut sentence));
        }
    }
    if sentence.chars().any(char::is_alphanumeric) {
        all.push(sentence);
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_model_writes_becomes_what_a_person_says() {
        for (written, said) in [
            ("**Bold** and _soft_ `code`", "Bold and soft code"),
            ("# Title\n\n- one\n- two", "Title. one. two"),
            ("See [the docs](https://example.com/x).", "See the docs."),
            ("Write to jane.doe@example.com!", "Write to jane dot doe at example dot com!"),
            ("Go to https://example.com/help", "Go to example dot com slash help"),
            ("Great 😀 job 👍🏽!", "Great job !"),
            ("Fish & chips = 5 + 3", "Fish and chips equals five plus three"),
            (
                "It is 70°F, 5km away, 20% off",
                "It is seventy degrees Fahrenheit, five kilometers away, twenty percent off",
            ),
            ("At 3:30pm and 7am", "At three thirty P M and seven A M"),
            (
                "Order 48213977 is e.g. here",
                "Order four eight two one three nine seven seven is for example here",
            ),
        ] {
            assert_eq!(normalise(written), said);
        }
    }

    #[test]
    fn plain_text_keeps_its_numbers() {
        assert_eq!(plain("**Call** 911 🙂").as_deref().map(str::trim), Some("Call 911"));
        assert!(["", " \n", "***", "🙂", "—?!"].iter().all(|text| plain(text).is_none()));
    }

    #[test]
    fn sentences_are_cut_where_they_end() {
        let text = "It is noon at the station. The train leaves, as always, at Dr. Smith's. Bye.";
        let cut = sentences(text);
        assert_eq!(cut[0], "It is noon at the station.");
        assert_eq!(cut.concat().len() + cut.len() - 1, text.len());
    }

    proptest! {
        #[test]
        fn any_text_is_normalised_to_one_line(text in "\\PC{0,200}") {
            let said = normalise(&text);
            prop_assert!(!said.contains('\n'));
            prop_assert!(!said.contains(|c: char| c.is_ascii_digit()), "{said}");
            prop_assert_eq!(sentences(&said).concat().contains("**"), false);
        }
    }
}
