//! The antiphon program.

use std::process::ExitCode;

/// Gives memory back to the system and keeps threads from sharing arenas: calls come and go for months.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Lets the heap be profiled; until it is, this costs nothing that can be measured. A thread in the background gives back
/// what a burst of work left behind, a profile's own for one.
#[expect(unsafe_code, reason = "jemalloc reads its options from a symbol of this name")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8; 51] = b"prof:true,prof_active:false,background_thread:true\0";

fn main() -> ExitCode {
    antiphon_server::cli::main()
}
