//! Events of a Realtime client, one on each line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| antiphon_transports::fuzzing::realtime(text));
