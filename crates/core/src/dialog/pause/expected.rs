//! What the agent has asked for.

use crate::dialog::bare_words::bare_words;

/// Words that a question for a value has in it.
const VALUES: &[&str] = &[
    "account",
    "address",
    "birth",
    "birthday",
    "card",
    "code",
    "digits",
    "email",
    "e-mail",
    "iban",
    "mail",
    "mobile",
    "number",
    "phone",
    "pin",
    "postcode",
    "reference",
    "serial",
    "spell",
    "spelled",
    "spelling",
    "telephone",
    "zip",
];
/// Words with which somebody is asked for something.
const ASKING: &[&str] = &[
    "can", "could", "enter", "give", "may", "please", "read", "say", "spell", "tell", "what", "what's",
    "which",
];
/// Words at the beginning of a question that is answered with yes or no.
const AUXILIARIES: &[&str] = &[
    "am", "are", "can", "could", "did", "do", "does", "had", "has", "have", "is", "may", "shall", "should",
    "was", "were", "will", "would",
];
/// Words at the end of such a question.
const TAGS: &[&str] = &["correct", "ok", "okay", "right"];

/// What the agent has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Nothing in particular.
    #[default]
    Anything,
    /// Yes or no.
    YesOrNo,
    /// A value that is said in parts, such as a telephone number, an address or a spelling.
    Value,
}

impl Expected {
    /// What somebody who says this waits for: its last sentence tells.
    pub fn after(said: &str) -> Self {
        let said = said.trim_end();
        let before = said.trim_end_matches(['.', '?', '!', ' ']);
        let last = before.rfind(['.', '?', '!']).map_or(before, |at| &before[at + 1..]);
        let words = bare_words(last);
        let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        let ends_with = |list: &[&str]| words.last().is_some_and(|word| list.contains(&word.as_str()));
        let begins_with = |list: &[&str]| words.first().is_some_and(|word| list.contains(&word.as_str()));
        let is_question = said.ends_with('?');
        if is_question && ends_with(TAGS) {
            Self::YesOrNo
        } else if has(VALUES) && has(ASKING) {
            Self::Value
        } else if is_question && begins_with(AUXILIARIES) {
            Self::YesOrNo
        } else {
            Self::Anything
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sentence_tells_what_is_expected() {
        for (said, expected) in [
            ("Welcome. What is your phone number?", Expected::Value),
            ("Please tell me the delivery address.", Expected::Value),
            ("Could you spell your last name?", Expected::Value),
            ("That is 5 5 5, 1 2 3 4, right?", Expected::YesOrNo),
            ("Would you like to book it?", Expected::YesOrNo),
            ("Your number is saved. How can I help you?", Expected::Anything),
            ("Your card arrives on Monday.", Expected::Anything),
            ("", Expected::Anything),
            ("???", Expected::Anything),
        ] {
            assert_eq!(Expected::after(said), expected, "{said}");
        }
    }
}
