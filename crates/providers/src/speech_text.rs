//! Turns what a language model writes into text that can be spoken: no markdown, no emoji, everything in words.
//!
//! Written English is a set of classes, after those of Google's text normalisation challenge: numbers, dates, times, money,
//! measures, codes, addresses and so on. Each has a file here with its patterns, its tables and its tests, and replaces its
//! written forms with words. The passes run one after another, as a form that several of them could take belongs to
//! the first:
//!
//! 1. `markup` and `letter` leave the text alone that a voice may see: no markdown, no accents, one form of each sign.
//! 2. `address`, `telephone`, `date` and `time` recognise long forms, which hold shorter ones.
//! 3. `street`, `money` and `unit` take numbers with something beside them that says what they are.
//! 4. `formula` takes numbers and letters with signs between them.
//! 5. `ordinal`, `numbered`, `year`, `fraction`, `version` and `code` take numbers whose form or context says how they are said.
//! 6. `number` says all that remain, so that no digit is left.
//! 7. `abbreviation` and `symbol` expand what is no number. They come last, as "No." and "#" mean something only before
//!    one.
//!
//! Every pattern either has a bounded length or is searched once over the text, so hostile text of any length takes time
//! in proportion to its length.

mod abbreviation;
mod address;
mod code;
#[cfg(test)]
mod corpus;
mod date;
mod formula;
mod fraction;
mod letter;
mod markup;
mod money;
mod number;
mod numbered;
mod ordinal;
mod pattern;
mod sentence;
mod street;
mod symbol;
mod telephone;
mod time;
mod unit;
mod version;
mod words;
mod year;

pub use sentence::sentences;
pub use words::{cardinal, ordinal};

/// The text in words, on one line, with punctuation that makes pauses.
pub fn normalise(text: &str) -> String {
    let text = letter::plain(&markup::strip(text));
    let text = time::say(date::say(telephone::say(address::say(text))));
    let text = formula::say(unit::say(money::say(street::say(text))));
    let text = year::say(numbered::say(ordinal::say(text)));
    let text = number::say(code::say(version::say(fraction::say(text))));
    tidy(&symbol::say(&abbreviation::say(&text)))
}

/// The text with one space between words and none before a mark of punctuation.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        let mark = word.starts_with([',', '.', '!', '?', ';', ':']) && !word.contains(char::is_alphanumeric);
        if mark && (out.is_empty() || (word.len() == 1 && out.ends_with([',', ';', ':']))) {
            continue;
        }
        if !out.is_empty() && !mark {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// The text without markup, for voices that turn numbers and signs into words themselves; `None` when nothing in it can
/// be spoken.
pub fn plain(text: &str) -> Option<String> {
    let plain = markup::strip(text);
    plain.contains(char::is_alphanumeric).then_some(plain)
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
            ("Great 😀 job 👍🏽!", "Great job!"),
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

    proptest! {
        #[test]
        fn any_text_is_normalised_to_one_line(text in "\\PC{0,200}") {
            let said = normalise(&text);
            prop_assert!(!said.contains('\n'));
            prop_assert!(!said.contains(|c: char| c.is_ascii_digit()), "{said}");
            prop_assert_eq!(sentences(&said).concat().contains("**"), false);
        }

        /// Text that looks like the forms which are known reaches more of the patterns.
        #[test]
        fn text_of_numbers_and_signs_is_normalised_to_one_line(
            text in "[0-9$€%°.,:/'\"*+=#~A-Cax²½ -]{0,60}"
        ) {
            let said = normalise(&text);
            prop_assert!(!said.contains('\n'));
            prop_assert!(!said.contains(|c: char| c.is_ascii_digit()), "{said}");
        }
    }
}
