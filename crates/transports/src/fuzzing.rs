//! Entry points for the fuzzer: the parsers of everything that strangers send.

use antiphon_core::session::SessionConfig;

/// Feeds events of a Realtime client, one on each line, to one session.
pub fn realtime(text: &str) {
    crate::realtime::fuzz(text, &SessionConfig::default());
}

/// Feeds messages of telephone companies' media streams, one on each line, to the parser of each dialect.
pub fn twilio(text: &str) {
    crate::telephony::fuzz(text);
}
