//! Threads whose work gives way to that of live turns.

/// By how much such a thread is less urgent to the operating system (`nice`): against an ordinary thread it gets a tenth of a core. With
/// less it would stand still beside other programs.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

/// Lowers the priority of this thread and of those that it starts. Where the system does not allow it, its work only costs live turns
/// more.
pub(crate) fn give_way() {
    // On Linux the priority is that of the thread, elsewhere that of the whole program.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICER);
}
