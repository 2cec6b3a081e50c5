//! Uploaded audio files: any bytes give audio within the limit of duration, or an error.
#![no_main]

use std::time::Duration;

use antiphon_audio::decode_file;
use libfuzzer_sys::fuzz_target;

const LONGEST: Duration = Duration::from_secs(10);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(audio) = decode_file(bytes, LONGEST) {
        assert!(audio.duration() <= LONGEST);
    }
});
