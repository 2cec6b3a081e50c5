//! English text to phonemes, without GPL code: misaki's lexicon and tagger, letter-to-sound rules for words that are
//! not in the lexicon, and a map from misaki's alphabet to the one that Piper's voices were trained on.

mod letters;

use std::sync::Mutex;

use antiphon_core::{Error, Result, lock};
use misaki_rs::{Fallback, G2P, Language};

/// Turns text into phonemes. It is large, so all threads share one.
pub struct Phonemizer {
    g2p: Mutex<G2P>,
}

impl Default for Phonemizer {
    fn default() -> Self {
        Self::new()
    }
}

impl Phonemizer {
    /// Loads the lexicon of American English, with rules for words that are not in it.
    pub fn new() -> Self {
        Self { g2p: Mutex::new(G2P::with_fallback(Language::EnglishUS, Some(Box::new(Rules)))) }
    }

    /// The phonemes in misaki's alphabet, which Kokoro takes. Words are separated by spaces.
    pub fn misaki(&self, text: &str) -> Result<String> {
        let g2p = lock(&self.g2p);
        let (phonemes, _) =
            g2p.g2p(text).map_err(|e| Error::internal(format!("the text has no phonemes: {e}")))?;
        Ok(phonemes)
    }

    /// The phonemes as espeak-ng writes US English, which Piper takes.
    pub fn espeak(&self, text: &str) -> Result<String> {
        self.misaki(text).map(|phonemes| espeak(&phonemes))
    }
}

/// Letter-to-sound rules for words that are not in the lexicon.
struct Rules;

impl Fallback for Rules {
    fn phonemize(&self, word: &str) -> std::result::Result<String, misaki_rs::fallback::FallbackError> {
        Ok(letters::phonemes(word))
    }
}

/// Translates from misaki's alphabet to espeak's: the inverse of misaki's own map (`E2M` in its `espeak.py`), with the
/// length marks that misaki leaves out: espeak's US English writes `ɑː ɔː uː` always, `iː` under stress.
fn espeak(misaki: &str) -> String {
    let mut out = String::with_capacity(misaki.len() + 16);
    let mut chars = misaki.chars().peekable();
    let mut stressed = false;
    while let Some(c) = chars.next() {
        let before_r = chars.peek() == Some(&'ɹ');
        let text = match c {
            'A' => "eɪ",
            'I' => "aɪ",
            'O' | 'Q' => "oʊ",
            'W' => "aʊ",
            'Y' => "ɔɪ",
            'ʤ' => "dʒ",
            'ʧ' => "tʃ",
            'ᵊ' => "ə",
            'T' => "ɾ",
            'ɜ' if before_r => {
                chars.next();
                "ɜː"
            }
            'ə' if before_r => {
                chars.next();
                "ɚ"
            }
            'ɔ' if before_r => "oː",
            'ɔ' => "ɔː",
            'ɑ' => "ɑː",
            'u' => "uː",
            'i' if stressed => "iː",
            // misaki marks words without a pronunciation with this.
            '❓' => "",
            other => {
                out.push(other);
                stressed = matches!(other, 'ˈ' | 'ˌ');
                continue;
            }
        };
        out.push_str(text);
        stressed = false;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_sound_as_espeak_writes_them() {
        let phonemizer = Phonemizer::new();
        for (text, expected) in [
            ("hello", "həlˈoʊ"),
            ("see the bird", "sˈiː ðə bˈɜːd"),
            ("my happy mother", "maɪ hˈæpi mˈʌðɚ"),
            ("four judges", "fˈoːɹ dʒˈʌdʒəz"),
        ] {
            assert_eq!(phonemizer.espeak(text).expect("has phonemes"), expected, "{text}");
        }
    }

    #[test]
    fn unknown_words_are_said_by_rule() {
        let phonemes = Phonemizer::new().espeak("Blorptang zzyx").expect("has phonemes");
        assert!(!phonemes.contains('❓') && phonemes.chars().count() > 8, "{phonemes}");
    }
}
