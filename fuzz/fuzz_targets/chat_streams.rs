//! The server-sent events of a language model, cut at each byte 0x1f, read as every vendor's.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| antiphon_providers::fuzzing::chat_stream(bytes));
