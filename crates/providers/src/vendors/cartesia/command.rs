//! What the task that owns a connection is told to do, and what it counts.

use std::sync::atomic::{AtomicU64, AtomicUsize};

use super::context::Sink;

/// What the owner of a connection is told.
pub(super) enum Command {
    /// A clause is to be said.
    Begin { id: String, message: String, sink: Sink },
    /// It is no longer wanted.
    Cancel { id: String },
}

/// What is measured.
#[derive(Default)]
pub(super) struct Activity {
    /// Made so far.
    pub(super) connections: AtomicU64,
    /// Clauses that the server was told to end: unwanted, late, or no audio.
    pub(super) cancelled: AtomicU64,
    /// Clauses that are being said.
    pub(super) clauses: AtomicUsize,
}
