//! Two questions compared by the guards of the semantic cache: no question differs from itself, the order of the two makes no
//! difference, and a damaged record of what was learned is refused.
#![no_main]

use antiphon_cache::guards::differs;
use antiphon_cache::{SemanticIndex, SemanticOptions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (a, b) = text.split_once('\n').unwrap_or((&text, ""));
    assert_eq!(differs(a, a), None);
    assert_eq!(differs(a, b), differs(b, a));
    let mut index = SemanticIndex::new(SemanticOptions::default()).expect("good options");
    if index.restore(bytes) {
        assert!(index.restore(&index.evidence()));
    }
});
