//! The program `antiphon`: its allocator, and the call of the command line.

use std::process::ExitCode;

/// Returns memory to the system and keeps threads from sharing arenas, which matters in a process that serves calls
/// for months.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Allows heap profiles. While none is taken, that has no measurable cost. A background thread returns the memory
/// that a burst of work, such as a profile, has left unused.
#[expect(unsafe_code, reason = "jemalloc reads its options from a symbol of this name")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8; 51] = b"prof:true,prof_active:false,background_thread:true\0";

fn main() -> ExitCode {
    antiphon_server::cli::main()
}
