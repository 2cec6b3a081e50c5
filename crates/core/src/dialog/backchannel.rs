//! Back-channels: sounds that say "I am listening", not "let me speak".

/// Words of which a back-channel consists. From the most frequent utterances tagged `b` in the Switchboard
/// Dialog Act corpus (uh-huh, yeah, right, oh, okay, huh, mm-hm, really, wow, I see, sure ...). "Yes" and "no"
/// are left out: after a question they are answers, and a lost answer costs more than a lost clause.
const WORDS: &[&str] = &[
    "uh",
    "huh",
    "uhhuh",
    "um",
    "umhum",
    "mm",
    "mmm",
    "hm",
    "hmm",
    "mhm",
    "mmhm",
    "mmhmm",
    "hum",
    "yeah",
    "yep",
    "right",
    "oh",
    "ah",
    "aha",
    "ok",
    "okay",
    "really",
    "wow",
    "sure",
    "cool",
    "great",
    "nice",
    "good",
    "gosh",
    "exactly",
    "absolutely",
    "true",
    "i",
    "see",
    "know",
];
/// "Oh yeah really" is a back-channel, a longer run of such words is a sentence.
const MAX_WORDS: usize = 3;

/// Whether `text` only says that the person listens. Empty text does not.
pub fn is_backchannel(text: &str) -> bool {
    let mut count = 0;
    for word in text.split(|c: char| c.is_whitespace() || c == '-' || c == ',') {
        let word: String =
            word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        if word.is_empty() {
            continue;
        }
        count += 1;
        if count > MAX_WORDS || !WORDS.contains(&word.as_str()) {
            return false;
        }
    }
    // "I" alone is the beginning of a sentence.
    count > 0 && !text.trim().eq_ignore_ascii_case("i")
}

#[cfg(test)]
mod tests {
    use super::is_backchannel;

    #[test]
    fn listening_sounds_are_back_channels() {
        for text in ["Mm-hm.", "Yeah", "uh-huh", "Oh, okay.", "Right right", "I see."] {
            assert!(is_backchannel(text), "{text}");
        }
    }

    #[test]
    fn answers_and_commands_are_not() {
        for text in
            ["", "No", "Yes", "Stop", "Wait", "Okay, stop", "I", "Yeah but I wanted two", "ok ok ok ok"]
        {
            assert!(!is_backchannel(text), "{text}");
        }
    }
}
