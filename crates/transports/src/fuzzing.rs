//! What the fuzzer feeds: the parsers of everything that strangers send.

use antiphon_core::session::SessionConfig;

/// Events of a Realtime client, one a line, in one session.
pub fn realtime(text: &str) {
    crate::realtime::fuzz(text, &SessionConfig::default());
}

/// Messages of the telephone companies' media streams, one a line, as each dialect reads them.
pub fn twilio(text: &str) {
    crate::telephony::fuzz(text);
}
