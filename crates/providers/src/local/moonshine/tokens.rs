//! Moonshine's vocabulary, `tokenizer.bin`: for each token its length, then its bytes.

use std::path::Path;

use antiphon_core::{Error, Result};

/// Stands for a space in the vocabulary.
const SPACE: &str = "\u{2581}";

/// The bytes of each token.
pub(super) struct Vocabulary {
    tokens: Vec<Vec<u8>>,
}

impl Vocabulary {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let broken = |what: &str| {
            Error::internal(format!("{} {what}: check it with `antiphon models verify`", file.display()))
        };
        let bytes = std::fs::read(file).map_err(|e| broken(&format!("cannot be read ({e})")))?;
        Self::parse(&bytes).ok_or_else(|| broken("is no Moonshine vocabulary"))
    }

    fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut tokens = Vec::new();
        while let Some((&first, rest)) = bytes.split_first() {
            let (length, rest) = if first < 128 {
                (usize::from(first), rest)
            } else {
                // A length of 128 or more takes two bytes, the seven low bits first.
                let (&second, rest) = rest.split_first()?;
                (usize::from(first) - 128 + usize::from(second) * 128, rest)
            };
            let (token, rest) = rest.split_at_checked(length)?;
            tokens.push(token.to_vec());
            bytes = rest;
        }
        (!tokens.is_empty()).then_some(Self { tokens })
    }

    /// The text of these tokens; control tokens (`<...>`) have none.
    pub(super) fn text(&self, tokens: &[i64]) -> String {
        let mut bytes = Vec::new();
        for token in tokens {
            let Some(token) = usize::try_from(*token).ok().and_then(|at| self.tokens.get(at)) else {
                continue;
            };
            match byte_token(token) {
                Some(byte) => bytes.push(byte),
                None if token.starts_with(b"<") && token.ends_with(b">") => {}
                None => bytes.extend_from_slice(token),
            }
        }
        String::from_utf8_lossy(&bytes).replace(SPACE, " ").trim().to_owned()
    }
}

/// The byte that a token such as `<0x41>` stands for.
fn byte_token(token: &[u8]) -> Option<u8> {
    let hex = std::str::from_utf8(token).ok()?.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(hex, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens_become_text() {
        let mut file = Vec::new();
        for token in ["<unk>", "\u{2581}Hel", "lo", "<0x21>"] {
            file.push(token.len() as u8);
            file.extend_from_slice(token.as_bytes());
        }
        let vocabulary = Vocabulary::parse(&file).expect("whole");
        assert_eq!(vocabulary.text(&[0, 1, 2, 3, 99, -1]), "Hello!");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Some(vocabulary) = Vocabulary::parse(&bytes) {
                vocabulary.text(&[0, 1, 2]);
            }
        }
    }
}
