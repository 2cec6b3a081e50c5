//! What the fuzzer feeds: the parsers of everything that strangers send.

use antiphon_core::call::SessionConfig;

/// Events of a Realtime client, one a line, in one session.
pub fn realtime(text: &str) {
    crate::transports::realtime::fuzz(text, &SessionConfig::default());
}

/// A message of Twilio's.
pub fn twilio(text: &str) {
    crate::transports::twilio::fuzz(text);
}
