//! Server-sent events as the APIs of language models use them: each has a name and one line of data.

use std::collections::VecDeque;

use antiphon_core::{Error, ErrorKind, Result};

/// The longest line in bytes. A line holds one or a few tokens, so that this is far more than any server sends.
const LONGEST_LINE: usize = 1 << 20;

/// An event that a server sends while its answer is not complete (server-sent events, WHATWG HTML 9.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerEvent {
    /// Its name; empty when the vendor does not name events.
    pub(crate) name: String,
    /// Its data, usually JSON.
    pub(crate) data: String,
}

/// Parses events from bytes that are cut anywhere.
#[derive(Default)]
pub(super) struct Events {
    line: Vec<u8>,
    name: String,
    ready: VecDeque<ServerEvent>,
}

impl Events {
    /// Takes bytes as they arrive, in pieces of any length; fails at a line that does not end.
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

    /// The oldest event that is complete and was not taken yet.
    pub(super) fn pop(&mut self) -> Option<ServerEvent> {
        self.ready.pop_front()
    }

    /// Each `data:` line is an event with the name before it. Comments and other fields are ignored.
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let field = |name: &str| line.strip_prefix(name.as_bytes()).map(String::from_utf8_lossy);
        if let Some(data) = field("data:") {
            let data = data.strip_prefix(' ').unwrap_or(&data).to_owned();
            self.ready.push_back(ServerEvent { name: std::mem::take(&mut self.name), data });
        } else if let Some(name) = field("event:") {
            name.trim().clone_into(&mut self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The events do not depend on where the bytes are cut.
        #[test]
        fn cuts_do_not_matter(texts in prop::collection::vec("[^\r\n]{0,20}", 0..6), cut in 0_usize..100, cr: bool) {
            let end = if cr { "\r\n" } else { "\n" };
            let stream: Vec<String> = texts.iter().map(|t| format!(": note{end}event: e{end}data: {t}{end}{end}")).collect();
            let stream = stream.concat();
            let bytes = stream.as_bytes();
            let cut = cut.min(bytes.len());
            let mut events = Events::default();
            events.push(&bytes[..cut]).expect("short");
            events.push(&bytes[cut..]).expect("short");
            let got: Vec<_> = std::iter::from_fn(|| events.pop()).collect();
            let sent = texts.into_iter().map(|data| ServerEvent { name: "e".to_owned(), data });
            prop_assert_eq!(got, sent.collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let mut events = Events::default();
            prop_assert!(events.push(&bytes).is_ok());
        }
    }
}
