//! Counts the instructions of single steps: `scripts/instructions.sh` runs each of them under valgrind and compares.

use std::hint::black_box;

use antiphon_testkit::instructions::{self, Case};

const CASES: &[Case] = &[("clauses", clauses)];

fn main() -> Result<(), String> {
    instructions::run(CASES)
}

/// A reply of usual length.
fn clauses(iterations: u64) {
    const REPLY: &str = "Sure, I can help with that. Dr. Smith has time on Tuesday at 3.30 p.m., or on Friday, \
        right after lunch. Which of the two suits you better? Either way, please bring your insurance card \
        and arrive about ten minutes early, so that we can get the paperwork done before your appointment!";
    for _ in 0..iterations {
        black_box(antiphon_agent::clauses(black_box(REPLY)));
    }
}
