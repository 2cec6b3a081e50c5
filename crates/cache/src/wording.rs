//! In which words a question was asked, as part of the key of its answer.
//!
//! An answer is used again for the same question only, and every sign may make another one: "10 / 2" is not "10 * 2", "C++" not "C", a
//! "Polish" no "polish". So of what somebody wrote only that is left out which changes no question in any language. Of what speech
//! recognition wrote, letter case, the commas between words and sounds of hesitation between them are left out too, because the
//! person did not say them, and the next time they may be written in another way.

use unicode_normalization::UnicodeNormalization;

use crate::KeyBuilder;

/// Sounds of hesitation. They are left out only where they stand alone between commas, because most are words as well: "5 mm".
const HESITATIONS: [&str; 8] = ["um", "umm", "uh", "uhm", "er", "erm", "hmm", "mm"];

/// The words of a question as they count for the key of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wording {
    words: String,
    /// Whether they were said. An answer to what was said is none to the same words in writing, because the latter tell more apart.
    recognised: bool,
}

impl Wording {
    /// `recognised` says that speech recognition wrote the question.
    pub(super) fn of(question: &str, recognised: bool) -> Self {
        let written = as_written(question);
        let words = if recognised { as_heard(&written) } else { written };
        Self { words, recognised }
    }

    /// Whether nothing was asked.
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Adds it to the key of an answer.
    pub(super) fn add_to(&self, key: &mut KeyBuilder) {
        key.add(if self.recognised { "heard" } else { "written" }).add(&self.words);
    }
}

/// The text in Unicode's composed form (NFC), without space around it, repeated spaces, and a full stop or question mark at its end.
fn as_written(text: &str) -> String {
    let text: String = text.trim().nfc().collect();
    let shown = match text.strip_suffix(['.', '?']) {
        Some(before) if !before.trim().is_empty() => before,
        _ => &text,
    };
    let mut out = String::with_capacity(shown.len());
    for c in shown.chars() {
        if c != ' ' || !out.ends_with(' ') {
            out.push(c);
        }
    }
    out
}

/// The same in lower case, without commas between words and hesitations between commas.
fn as_heard(written: &str) -> String {
    let mut out = String::with_capacity(written.len());
    let mut rest = written;
    while !rest.is_empty() {
        let part = match rest.find(", ") {
            Some(comma) => {
                let (part, behind) = rest.split_at(comma);
                rest = &behind[2..];
                part
            }
            None => std::mem::take(&mut rest).trim_end_matches(','),
        };
        if part.is_empty() || is_hesitation(part) {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(part.chars().flat_map(char::to_lowercase));
    }
    out
}

/// Whether this is a sound. "UM" is none: it is an abbreviation.
fn is_hesitation(part: &str) -> bool {
    let spelled = part.chars().all(char::is_uppercase);
    !spelled && HESITATIONS.iter().any(|sound| part.eq_ignore_ascii_case(sound))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(question: &str, recognised: bool) -> String {
        Wording::of(question, recognised).words
    }

    #[test]
    fn what_somebody_wrote_is_compared_as_it_was_written() {
        let question = "What is 10 * 2?";
        for same in [" What is 10 * 2 ", "What is  10 * 2.", "What is 10 * 2"] {
            assert_eq!(of(same, false), of(question, false), "{same}");
        }
        assert_eq!(of("Cafe\u{301}", false), of("Caf\u{e9}", false), "NFC");
        for (a, b) in [
            ("What is 10 * 2?", "What is 10 / 2?"),
            ("What is 10 * 2?", "What is 10 2?"),
            ("Is 3 < 5?", "Is 3 > 5?"),
            ("How much is ¥100?", "How much is $100?"),
            ("I feel 😀", "I feel 😢"),
            ("What is √9?", "What is ~9?"),
            ("Can I park here?", "Can't I park here?"),
            ("What is C++?", "What is C?"),
            ("Is it @home?", "Is it home?"),
            ("What is a/b?", "What is ab?"),
            ("What is 1,5?", "What is 15?"),
            ("Can you recommend a polish?", "Can you recommend a Polish?"),
            ("What is UM?", "What is?"),
            ("Is it 5 mm?", "Is it 5?"),
            ("Er, ist das alles?", "Ist das alles?"),
            ("Is that all!", "Is that all"),
            ("resumé", "resume"),
            ("Yes, please", "Yes please"),
            ("?", "."),
        ] {
            assert_ne!(of(a, false), of(b, false), "{a} | {b}");
        }
    }

    #[test]
    fn what_the_recogniser_adds_is_left_out() {
        let question = "What's the price of 3.5 kg?";
        for same in [
            "What's the price of 3.5 KG.",
            "Um, what's the price of 3.5 kg?",
            "What's the price, uh, of 3.5 kg",
            "what's the price of, erm, 3.5 kg, um.",
        ] {
            assert_eq!(of(same, true), of(question, true), "{same}");
        }
        for (a, b) in [
            ("What is 10 * 2?", "What is 10 / 2?"),
            ("What is 1,5?", "What is 15?"),
            ("How much is 1,500?", "How much is 1500?"),
            ("Is it 5 mm?", "Is it 5?"),
            ("Is er hier?", "Is hier?"),
            ("Where is the UM?", "Where is the?"),
            ("UM, please?", "Please?"),
            ("we're here", "were here"),
        ] {
            assert_ne!(of(a, true), of(b, true), "{a} | {b}");
        }
        assert_eq!(of("Um, uh, mm.", true), "");
    }

    /// Every character that is printed, a space aside.
    fn printed() -> impl Strategy<Value = char> {
        any::<char>().prop_filter("printed", |c| !c.is_control() && !c.is_whitespace())
    }

    proptest! {
        /// Whatever sign is put between two words, the question is another one, and with another sign it is another one again.
        #[test]
        fn every_sign_makes_another_question(c in printed(), other in printed()) {
            let with = |sign: char| of(&format!("What is ten {sign} two?"), false);
            prop_assert_ne!(with(c), of("What is ten two?", false));
            let same = c.nfc().eq(other.nfc());
            prop_assert_eq!(with(c) == with(other), same);
            let heard = |sign: char| of(&format!("What is ten {sign} two?"), true);
            let (comma, folded) = (c == ',' || other == ',', c.to_lowercase().eq(other.to_lowercase()));
            prop_assert!(heard(c) != heard(other) || same || folded || comma, "{c:?} {other:?}");
        }

        #[test]
        fn the_words_of_a_question_are_settled(text in "\\PC{0,60}", recognised: bool) {
            let once = of(&text, recognised);
            prop_assert!(!once.contains("  ") && once.len() <= 3 * text.len() + 3);
        }
    }
}
