//! From the bytes a model writes to the text that may be sent.

/// Turns bytes into text that may be sent: whole characters, without anything that may be the beginning
/// of a stop string.
#[derive(Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    held: String,
    stops: Vec<String>,
}

impl Text {
    pub(super) fn new(stops: Vec<String>) -> Self {
        Self { stops: stops.into_iter().filter(|s| !s.is_empty()).collect(), ..Self::default() }
    }

    /// Takes more bytes; returns what may be sent and whether a stop string has ended the text.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (String, bool) {
        self.bytes.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.bytes) {
            Ok(text) => text.len(),
            // An incomplete character waits for its remaining bytes; an invalid one becomes U+FFFD.
            Err(e) if e.error_len().is_none() => e.valid_up_to(),
            Err(_) => self.bytes.len(),
        };
        let whole: Vec<u8> = self.bytes.drain(..whole).collect();
        self.held.push_str(&String::from_utf8_lossy(&whole));
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What was held back, once no more bytes will come. An incomplete character is dropped.
    pub(super) fn rest(&mut self) -> String {
        self.bytes.clear();
        std::mem::take(&mut self.held)
    }
}

/// The number of bytes at the end of `text` with which `stop` may begin.
pub(super) fn overlap(text: &str, stop: &str) -> usize {
    let longest = stop.len().saturating_sub(1).min(text.len());
    (1..=longest).rev().find(|&n| stop.is_char_boundary(n) && text.ends_with(&stop[..n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stop_string_ends_the_text_wherever_it_is_cut() {
        let mut text = Text::new(vec!["</s>".to_owned()]);
        assert_eq!(text.push(b"Hello <"), ("Hello ".to_owned(), false));
        assert_eq!(text.push(b"/b> and </"), ("</b> and ".to_owned(), false));
        assert_eq!(text.push(b"s> more"), (String::new(), true));
    }

    proptest! {
        /// The text does not depend on where the bytes are cut.
        #[test]
        fn characters_are_never_torn(text in "\\PC{0,40}", cut in 0_usize..40) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let mut taker = Text::new(vec!["never to be found".to_owned()]);
            let mut all = taker.push(&bytes[..cut]).0;
            all.push_str(&taker.push(&bytes[cut..]).0);
            all.push_str(&taker.rest());
            prop_assert_eq!(all, text);
        }
    }
}
