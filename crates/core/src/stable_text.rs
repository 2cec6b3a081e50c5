//! What of a growing transcript will not change any more.
//!
//! Recognition hears the utterance again as it grows and may change its mind about the latest words. What two
//! hearings in a row agree on is told (the "local agreement" of Liu et al., Interspeech 2020, with n = 2): clients
//! can append it.

/// The transcript of one utterance while it grows.
#[derive(Debug, Default)]
pub struct StableText {
    last: String,
    told: String,
}

impl StableText {
    /// The transcript as heard last.
    pub fn last(&self) -> &str {
        &self.last
    }

    /// Takes the transcript as heard now; gives what can be appended to what was given before.
    pub fn hear(&mut self, text: &str, done: bool) -> Option<String> {
        let agreed = if done { text.len() } else { common_words(&self.last, text) };
        text.clone_into(&mut self.last);
        let delta = text.get(..agreed)?.strip_prefix(self.told.as_str())?.to_owned();
        self.told.push_str(&delta);
        (!delta.is_empty()).then_some(delta)
    }
}

/// The bytes of the whole words with which both texts begin.
fn common_words(before: &str, now: &str) -> usize {
    let same = before.bytes().zip(now.bytes()).take_while(|(a, b)| a == b).count();
    let ends_word = |text: &str| text.as_bytes().get(same).is_none_or(u8::is_ascii_whitespace);
    if ends_word(before) && ends_word(now) {
        return same;
    }
    now.as_bytes()[..same].iter().rposition(u8::is_ascii_whitespace).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_told_once_heard_twice() {
        let mut text = StableText::default();
        assert_eq!(text.hear("I want", false), None);
        assert_eq!(text.hear("I want to by", false).as_deref(), Some("I want"));
        assert_eq!(text.hear("I want to buy a", false).as_deref(), Some(" to"));
        assert_eq!(text.hear("I want to buy a dog.", true).as_deref(), Some(" buy a dog."));
    }

    #[test]
    fn what_was_told_is_not_taken_back() {
        let mut text = StableText::default();
        text.hear("one two", false);
        text.hear("one two three", false);
        assert_eq!(text.hear("won too three", true), None, "the whole transcript corrects it");
    }

    proptest! {
        #[test]
        fn any_hearings_are_taken(hearings in prop::collection::vec("[a-cé ]{0,8}", 1..6)) {
            let (mut text, mut told) = (StableText::default(), String::new());
            for hearing in &hearings {
                told.extend(text.hear(hearing, false));
                prop_assert!(told == text.told && (told.is_empty() || hearings.iter().any(|h| h.starts_with(&told))));
            }
            let last = &hearings[hearings.len() - 1];
            let extends = last.starts_with(&told);
            told.extend(text.hear(last, true));
            prop_assert_eq!(extends, &told == last, "the end completes what it does not contradict");
        }
    }
}
