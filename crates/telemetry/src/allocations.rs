//! The number of allocations, as counted by jemalloc.

use tikv_jemalloc_ctl::{epoch, raw};

/// Allocations of all threads since the program started; `None` when jemalloc is not the allocator.
#[expect(unsafe_code, reason = "mallctl is told types that it cannot check: these are those of its manual")]
pub fn allocations() -> Option<u64> {
    // Arena 4096 stands for all arenas together (MALLCTL_ARENAS_ALL).
    epoch::advance().ok()?;
    // SAFETY: jemalloc's manual gives the type of this statistic as uint64_t.
    let small: u64 = unsafe { raw::read(b"stats.arenas.4096.small.nrequests\0") }.ok()?;
    // SAFETY: jemalloc's manual gives the type of this statistic as uint64_t, too.
    let large: u64 = unsafe { raw::read(b"stats.arenas.4096.large.nrequests\0") }.ok()?;
    (small > 0).then_some(small + large)
}
