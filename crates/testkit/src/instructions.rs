//! What the programs have in common whose instructions are counted (`benches/instructions.rs` of some crates):
//! `instructions CASE ITERATIONS` takes the case's step that often; without arguments it lists the cases.
#![expect(clippy::print_stdout, reason = "the list is for the script")]

/// A name, and what takes a step so many times.
pub type Case = (&'static str, fn(u64));

/// Does what the arguments say.
pub fn run(cases: &[Case]) -> Result<(), String> {
    // `cargo bench` adds `--bench` to the arguments.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [name, iterations] = arguments.as_slice() else {
        for (name, _) in cases {
            println!("{name}");
        }
        return Ok(());
    };
    let case = cases.iter().find(|(known, _)| known == name);
    let (_, case) = case.ok_or_else(|| format!("no case {name:?}: run without arguments for a list"))?;
    case(iterations.parse().map_err(|error| format!("iterations {iterations:?}: {error}"))?);
    Ok(())
}
