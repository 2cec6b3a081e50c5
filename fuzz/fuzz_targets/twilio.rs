//! A message of Twilio Media Streams.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| antiphon_server::fuzzing::twilio(text));
