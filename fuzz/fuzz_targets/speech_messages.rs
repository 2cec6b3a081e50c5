//! WebSocket messages of speech vendors, one on each line, read by the parser of every vendor.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| antiphon_providers::fuzzing::speech_messages(text));
