//! The antiphon program.

use std::process::ExitCode;

/// Gives memory back to the system and keeps threads from sharing arenas: calls come and go for months.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Lets the heap be profiled; until it is, this costs nothing that can be measured.
#[expect(unsafe_code, reason = "jemalloc reads its options from a symbol of this name")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8; 28] = b"prof:true,prof_active:false\0";

fn main() -> ExitCode {
    antiphon_server::cli::main()
}
