//! Letter-to-sound rules for English words that are not in the lexicon, such as names, brands and misspellings. The
//! sounds are written in misaki's alphabet.
//!
//! The longest match comes first, after Elovitz et al., "Letter-to-Sound Rules for Automatic Translation of English
//! Text to Phonetics" (1976), with far fewer rules, because common words are in the lexicon.

/// Letters and their sound, longer sequences first.
const RULES: &[(&str, &str)] = &[
    ("tion", "ʃᵊn"),
    ("sion", "ʒᵊn"),
    ("ough", "O"),
    ("eigh", "A"),
    ("tch", "ʧ"),
    ("dge", "ʤ"),
    ("igh", "I"),
    ("sch", "sk"),
    ("eau", "O"),
    ("oor", "ɔɹ"),
    ("ear", "ɪɹ"),
    ("eer", "ɪɹ"),
    ("air", "ɛɹ"),
    ("our", "Wəɹ"),
    ("ch", "ʧ"),
    ("sh", "ʃ"),
    ("th", "θ"),
    ("ph", "f"),
    ("gh", "ɡ"),
    ("wh", "w"),
    ("ck", "k"),
    ("ng", "ŋ"),
    ("qu", "kw"),
    ("kn", "n"),
    ("wr", "ɹ"),
    ("ps", "s"),
    ("rh", "ɹ"),
    ("sc", "sk"),
    ("zz", "z"),
    ("ss", "s"),
    ("ll", "l"),
    ("tt", "t"),
    ("pp", "p"),
    ("bb", "b"),
    ("dd", "d"),
    ("ff", "f"),
    ("gg", "ɡ"),
    ("mm", "m"),
    ("nn", "n"),
    ("rr", "ɹ"),
    ("cc", "k"),
    ("ee", "i"),
    ("ea", "i"),
    ("oo", "u"),
    ("ou", "W"),
    ("ow", "O"),
    ("oi", "Y"),
    ("oy", "Y"),
    ("ai", "A"),
    ("ay", "A"),
    ("au", "ɔ"),
    ("aw", "ɔ"),
    ("ei", "i"),
    ("ey", "i"),
    ("ie", "i"),
    ("oa", "O"),
    ("oe", "O"),
    ("ue", "u"),
    ("ui", "u"),
    ("ew", "u"),
    ("ar", "ɑɹ"),
    ("er", "əɹ"),
    ("ir", "ɜɹ"),
    ("or", "ɔɹ"),
    ("ur", "ɜɹ"),
    ("a", "æ"),
    ("b", "b"),
    ("d", "d"),
    ("e", "ɛ"),
    ("f", "f"),
    ("g", "ɡ"),
    ("h", "h"),
    ("i", "ɪ"),
    ("j", "ʤ"),
    ("k", "k"),
    ("l", "l"),
    ("m", "m"),
    ("n", "n"),
    ("o", "ɑ"),
    ("p", "p"),
    ("r", "ɹ"),
    ("s", "s"),
    ("t", "t"),
    ("u", "ʌ"),
    ("v", "v"),
    ("w", "w"),
    ("x", "ks"),
    ("z", "z"),
];

/// The names of the letters from A to Z.
const NAMES: [&str; 26] = [
    "ˈA",
    "bˈi",
    "sˈi",
    "dˈi",
    "ˈi",
    "ˈɛf",
    "ʤˈi",
    "ˈAʧ",
    "ˈI",
    "ʤˈA",
    "kˈA",
    "ˈɛl",
    "ˈɛm",
    "ˈɛn",
    "ˈO",
    "pˈi",
    "kjˈu",
    "ˈɑɹ",
    "ˈɛs",
    "tˈi",
    "jˈu",
    "vˈi",
    "dˈʌbᵊlju",
    "ˈɛks",
    "wˈI",
    "zˈi",
];

/// The vowels of misaki's alphabet.
const VOWELS: &str = "AIOWYæɑɔəɛɜɪiuʊʌ";

/// The phonemes of a word. A word without vowels is spelled.
pub(super) fn phonemes(word: &str) -> String {
    let word: String = word.chars().filter_map(plain).collect();
    if word.contains(['a', 'e', 'i', 'o', 'u', 'y']) { sound(&word) } else { spell(&word) }
}

/// The letter in lower case and without its accent; `None` for other characters.
fn plain(c: char) -> Option<char> {
    let c = c.to_lowercase().next()?;
    let plain = match c {
        'à'..='å' => 'a',
        'è'..='ë' => 'e',
        'ì'..='ï' => 'i',
        'ò'..='ö' | 'ø' => 'o',
        'ù'..='ü' => 'u',
        'ñ' => 'n',
        'ç' | 'ß' => 's',
        other => other,
    };
    plain.is_ascii_lowercase().then_some(plain)
}

fn spell(word: &str) -> String {
    let names = word.bytes().filter_map(|b| NAMES.get(usize::from(b.wrapping_sub(b'a'))).copied());
    names.collect::<Vec<_>>().join(" ")
}

fn sound(word: &str) -> String {
    let mut out = String::new();
    let mut rest = word;
    while !rest.is_empty() {
        let (letters, sound) = next(word, rest);
        out.push_str(sound);
        rest = &rest[letters..];
    }
    stress(&out)
}

/// The number of letters of the next sound, and the sound.
fn next<'a>(word: &str, rest: &str) -> (usize, &'a str) {
    let first = rest.len() == word.len();
    let mut letters = rest.chars();
    let (c, after) = (letters.next(), letters.next());
    match (c, after) {
        // Before a consonant and a final e, a vowel is pronounced like its name.
        (Some(vowel @ ('a' | 'i' | 'o' | 'u')), Some(consonant))
            if rest.len() == 3 && rest.ends_with('e') && !"aeiouwxy".contains(consonant) =>
        {
            (
                1,
                match vowel {
                    'a' => "A",
                    'i' => "I",
                    'o' => "O",
                    _ => "u",
                },
            )
        }
        (Some('e'), None) if !first => (1, ""),
        (Some('c'), Some('e' | 'i' | 'y')) => (1, "s"),
        (Some('g'), Some('e' | 'i' | 'y')) => (1, "ʤ"),
        (Some('c'), next) if next != Some('h') && next != Some('k') && next != Some('c') => (1, "k"),
        (Some('y'), _) if first => (1, "j"),
        (Some('y'), None) => (1, "i"),
        (Some('y'), _) => (1, "ɪ"),
        _ => {
            let rule = RULES.iter().find(|(letters, _)| rest.starts_with(letters));
            // Only c, q and y have no rule of their own: their sound depends on their neighbours.
            rule.map_or((1, "k"), |(letters, sound)| (letters.len(), *sound))
        }
    }
}

/// Puts the stress on the first vowel, which is right for most English words and for nearly all short ones.
fn stress(phonemes: &str) -> String {
    match phonemes.find(|c| VOWELS.contains(c)) {
        Some(at) => format!("{}ˈ{}", &phonemes[..at], &phonemes[at..]),
        None => phonemes.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rules_make_plausible_sounds() {
        assert_eq!(phonemes("blake"), "blˈAk");
        assert_eq!(phonemes("Shenzhou"), "ʃˈɛnzhW");
        assert_eq!(phonemes("xkcd"), "ˈɛks kˈA sˈi dˈi");
        assert_eq!(phonemes("cyclone"), "sˈɪklOn");
    }

    proptest! {
        #[test]
        fn any_word_is_said_or_left_out(word in "\\PC{0,20}") {
            let said = phonemes(&word);
            prop_assert!(said.is_empty() || word.chars().any(|c| plain(c).is_some()));
        }
    }
}
