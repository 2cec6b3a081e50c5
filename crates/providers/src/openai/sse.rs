//! Server-sent events, as far as chat completions use them: the `data:` of each event.

use std::collections::VecDeque;

use antiphon_core::{Error, ErrorKind, Result};

/// One line is a token or a few; this is a thousand times that.
const LONGEST_LINE: usize = 1 << 20;

/// Takes bytes cut anywhere, gives the data of events.
#[derive(Default)]
pub(super) struct Events {
    line: Vec<u8>,
    data: VecDeque<String>,
}

impl Events {
    /// More bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else if self.line.len() < LONGEST_LINE {
                self.line.push(byte);
            } else {
                return Err(Error::new(ErrorKind::Protocol, "the server sent an endless line"));
            }
        }
        Ok(())
    }

    /// The data of the next event.
    pub(super) fn pop(&mut self) -> Option<String> {
        self.data.pop_front()
    }

    /// Each `data:` line of a completion is an event of its own; comments and other fields say nothing.
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if let Some(data) = line.strip_prefix(b"data:") {
            let data = String::from_utf8_lossy(data);
            self.data.push_back(data.strip_prefix(' ').unwrap_or(&data).to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Events;

    proptest! {
        /// However the bytes are cut, the events are the same.
        #[test]
        fn cuts_do_not_matter(texts in prop::collection::vec("[^\r\n]{0,20}", 0..6), cut in 0_usize..100, cr: bool) {
            let end = if cr { "\r\n" } else { "\n" };
            let stream: Vec<String> = texts.iter().map(|t| format!(": note{end}data: {t}{end}{end}")).collect();
            let stream = stream.concat();
            let bytes = stream.as_bytes();
            let cut = cut.min(bytes.len());
            let mut events = Events::default();
            events.push(&bytes[..cut]).expect("short");
            events.push(&bytes[cut..]).expect("short");
            let got: Vec<String> = std::iter::from_fn(|| events.pop()).collect();
            prop_assert_eq!(got, texts);
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let mut events = Events::default();
            prop_assert!(events.push(&bytes).is_ok());
        }
    }
}
