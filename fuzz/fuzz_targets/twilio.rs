//! Messages of the media streams of Twilio and of the other telephone companies.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| antiphon_transports::fuzzing::twilio(text));
