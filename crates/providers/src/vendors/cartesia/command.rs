//! What the task that owns a connection is told to do, and what it counts.

use std::sync::atomic::{AtomicU64, AtomicUsize};

use super::context::Sink;

/// A command to the owner of a connection.
pub(super) enum Command {
    /// Speak a clause: send `message`, and pass its audio to `sink`.
    Begin { id: String, message: String, sink: Sink },
    /// A clause is no longer wanted.
    Cancel { id: String },
}

/// The measurements of all connections.
#[derive(Default)]
pub(super) struct Activity {
    /// Connections made so far.
    pub(super) connections: AtomicU64,
    /// Clauses that were cancelled at the server: unwanted, late, or without valid audio.
    pub(super) cancelled: AtomicU64,
    /// Clauses that are being spoken now.
    pub(super) clauses: AtomicUsize,
}
