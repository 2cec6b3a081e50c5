//! The words of a text as input of the network: hashed words, pairs of words and pieces of words (Weinberger et al.
//! 2009, "Feature Hashing for Large Scale Multitask Learning"; pieces as in Bojanowski et al. 2017, "Enriching Word
//! Vectors with Subword Information").

use std::ops::RangeInclusive;

/// Number of different features: hashes are taken modulo this.
pub const BUCKETS: usize = 1 << 14;
/// Lengths of the pieces of a word, in characters.
const PIECE: RangeInclusive<usize> = 3..=5;
/// Hashed along with the letters, so that equal letters are different features as a word, a pair and a piece.
const WORD: u32 = 1;
const PAIR: u32 = 2;
const PIECE_OF_WORD: u32 = 3;

/// The features of a text in ascending order without duplicates, each below [`BUCKETS`].
pub fn features(text: &str) -> Vec<u32> {
    let straight = |c| if c == '’' { '\'' } else { c };
    let text: String = text.chars().flat_map(char::to_lowercase).map(straight).collect();
    let mut found = Vec::with_capacity(text.len() * PIECE.count());
    let mut last = None;
    for token in tokens(&text) {
        let word = hash(WORD, token.bytes());
        found.push(word);
        if let Some(last) = last.replace(word) {
            found.push(hash(PAIR, [last, word].into_iter().flat_map(u32::to_le_bytes)));
        }
        pieces(token, &mut found);
    }
    for feature in &mut found {
        *feature %= BUCKETS as u32;
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The words of a text and, one by one, its other characters. A repeated character counts once.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let of_word = |c: char| c.is_alphanumeric() || c == '\'';
    let mut rest = text;
    let mut last = "";
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start();
            let first = rest.chars().next()?;
            let end = if of_word(first) {
                rest.find(|c| !of_word(c)).unwrap_or(rest.len())
            } else {
                first.len_utf8()
            };
            let (token, after) = rest.split_at(end);
            rest = after;
            if of_word(first) || token != last {
                last = token;
                return Some(token);
            }
        }
    })
}

/// The pieces of a word with brackets around it, which mark its beginning and end; the whole word is left out.
fn pieces(word: &str, found: &mut Vec<u32>) {
    let bracketed: Vec<char> = std::iter::once('<').chain(word.chars()).chain(std::iter::once('>')).collect();
    for length in PIECE.filter(|length| *length < bracketed.len()) {
        let pieces = bracketed.windows(length);
        found.extend(
            pieces.map(|piece| hash(PIECE_OF_WORD, piece.iter().flat_map(|c| u32::from(*c).to_le_bytes()))),
        );
    }
}

/// FNV-1a, followed by the last steps of MurmurHash3, which make the low bits depend on all others.
fn hash(kind: u32, bytes: impl IntoIterator<Item = u8>) -> u32 {
    let mut hash = 0x811c_9dc5 ^ kind;
    for byte in bytes {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens_are_words_and_signs() {
        let tokens: Vec<_> = tokens("i'm  so happy!!! :) ok").collect();
        assert_eq!(tokens, ["i'm", "so", "happy", "!", ":", ")", "ok"]);
    }

    #[test]
    fn case_and_the_shape_of_an_apostrophe_say_nothing() {
        assert_eq!(features("I’M HAPPY"), features("i'm happy"));
        assert_ne!(features("not happy"), features("happy not"));
    }

    proptest! {
        #[test]
        fn any_text_has_features_in_order(text in any::<String>()) {
            let features = features(&text);
            prop_assert!(features.is_sorted_by(|a, b| a < b));
            prop_assert!(features.iter().all(|feature| (*feature as usize) < BUCKETS));
        }
    }
}
