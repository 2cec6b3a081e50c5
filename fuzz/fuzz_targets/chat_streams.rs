//! Server-sent events of language models, separated by bytes 0x1f, read by the parser of every vendor.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| antiphon_providers::fuzzing::chat_stream(bytes));
