//! Steps whose instructions are counted: `scripts/instructions.sh` runs each one under valgrind and compares.
//!
//! `instructions CASE ITERATIONS` takes the case's step that often; without arguments it lists the cases.
#![expect(clippy::print_stdout, reason = "the list is for the script")]

use std::hint::black_box;

/// A name, and what takes a step so many times.
type Case = (&'static str, fn(u64));

const CASES: &[Case] = &[("clauses", clauses)];

fn main() -> Result<(), String> {
    // cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [name, iterations] = arguments.as_slice() else {
        for (name, _) in CASES {
            println!("{name}");
        }
        return Ok(());
    };
    let (_, case) = CASES
        .iter()
        .find(|(known, _)| known == name)
        .ok_or_else(|| format!("no case {name:?}: run without arguments for a list"))?;
    case(iterations.parse().map_err(|error| format!("iterations {iterations:?}: {error}"))?);
    Ok(())
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
