//! Taking a mutex without failing when another thread panicked.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also after another thread panicked while it held the lock: whatever a lock of this server guards is consistent
/// wherever code under it may panic, and one call that failed must not make all others fail.
pub fn lock<V: ?Sized>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
