//! Messages of engines of speech on a WebSocket, one a line, read as every vendor's.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| antiphon_providers::fuzzing::speech_messages(text));
