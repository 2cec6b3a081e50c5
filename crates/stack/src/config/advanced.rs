//! The section `[advanced]`: settings that few people need.

use std::ops::RangeInclusive;

use antiphon_core::settings;
use antiphon_core::settings::Check;

/// Range of `[advanced] frame_ms`; its minimum is also its step. Telephone frames are 20 ms; with more than 200 ms an
/// interruption would be noticed late.
pub(crate) const FRAME_MS: RangeInclusive<u32> = 20..=200;

settings! {
    /// What few people need: `antiphon optimize` finds out what is best on a machine.
    pub struct Advanced {
        /// The most audio of a reply in one message, in milliseconds. Longer messages are fewer; of shorter ones less is
        /// lost when the person interrupts.
        frame_ms: u64 = 100, check(Check::Steps {
            min: *FRAME_MS.start(), max: *FRAME_MS.end(), step: *FRAME_MS.start()
        }), formerly("server.frame_ms");
        /// Threads on which calls are held. When not set: one a core. Models have threads of their own.
        worker_threads: Option<usize> = None, check(Check::AtLeast(1.0)), example("2"),
            formerly("server.worker_threads");
        /// Threads that all embedded models but the language model share. When not set: one a core.
        model_threads: Option<usize> = None, check(Check::AtLeast(1.0)), example("2"), formerly("pool.threads");
        /// The most jobs that an embedded model is given in one batch.
        model_batch: usize = 32, check(Check::Between(1.0, 32.0)), formerly("pool.max_batch");
        /// With `[vad] engine = "silero"`: whether audio that is plainly no speech is kept from the model, which saves
        /// most of its work.
        vad_gate: bool = true, formerly("vad.gate");
    }
}
