//! HTTP responses of vendors: errors, audio, transcriptions and vectors.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| antiphon_providers::fuzzing::http_answer(bytes));
