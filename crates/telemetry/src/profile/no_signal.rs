//! Where there is no signal that takes samples: see `signal.rs`.

use std::io;

use antiphon_core::measure::account::Tag;

use super::modules::Registers;

/// A sample; there are none.
pub(super) struct Sample {
    pub(super) registers: Registers,
    pub(super) tag: Tag,
    pub(super) thread: u32,
    pub(super) length: usize,
    pub(super) stack: Box<[u8]>,
}

/// Sampling that cannot begin.
pub(super) struct Sampling;

impl Sampling {
    pub(super) fn start(_: u32) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[expect(clippy::unused_self, reason = "the same as where there are samples")]
    pub(super) fn drain(&mut self, _: impl FnMut(&Sample)) {}

    #[expect(clippy::unused_self, reason = "the same as where there are samples")]
    pub(super) fn lost(&self) -> u64 {
        0
    }
}
