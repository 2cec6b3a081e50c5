//! The text of a configuration file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| drop(antiphon_stack::config::parse(text)));
