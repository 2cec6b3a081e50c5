//! The text of a configuration file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| antiphon_server::fuzzing::config(text));
