//! Stands in for `signal.rs` on systems where no signal takes samples.

use std::io;

use antiphon_core::measure::account::Tag;

use super::modules::Registers;

/// The same type as in `signal.rs`. None is ever made.
pub(super) struct Sample {
    pub(super) registers: Registers,
    pub(super) tag: Tag,
    pub(super) thread: u32,
    pub(super) length: usize,
    pub(super) stack: Box<[u8]>,
}

/// Sampling that always fails to start.
pub(super) struct Sampling;

impl Sampling {
    pub(super) fn start(_: u32) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[expect(clippy::unused_self, reason = "the signature is that of signal.rs")]
    pub(super) fn drain(&mut self, _: impl FnMut(&Sample)) {}

    #[expect(clippy::unused_self, reason = "the signature is that of signal.rs")]
    pub(super) fn lost(&self) -> u64 {
        0
    }
}
