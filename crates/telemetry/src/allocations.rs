//! How much is allocated, as jemalloc counts it.

use tikv_jemalloc_ctl::{epoch, raw};

/// Allocations since the program began, of all threads; `None` when jemalloc is not the allocator.
#[expect(unsafe_code, reason = "mallctl is told types that it cannot check: these are those of its manual")]
pub fn allocations() -> Option<u64> {
    // 4096 stands for all arenas together (MALLCTL_ARENAS_ALL).
    epoch::advance().ok()?;
    // SAFETY: both are uint64_t.
    let small: u64 = unsafe { raw::read(b"stats.arenas.4096.small.nrequests\0") }.ok()?;
    // SAFETY: the same.
    let large: u64 = unsafe { raw::read(b"stats.arenas.4096.large.nrequests\0") }.ok()?;
    (small > 0).then_some(small + large)
}
