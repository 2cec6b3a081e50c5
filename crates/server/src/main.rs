//! The antiphon program.

use std::process::ExitCode;

/// Gives memory back to the system and keeps threads from sharing arenas: calls come and go for months.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    antiphon_server::cli::main()
}
