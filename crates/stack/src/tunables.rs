//! Settings of the server itself that `antiphon optimize` may search.

use antiphon_core::measure::{Component, Tunable};

use crate::config::{Advanced, FRAME_MS};
use crate::machine;

/// The server itself as a component with tunables.
#[derive(Debug)]
pub(crate) struct ServerTunables {
    frame_ms: u64,
    worker_threads: usize,
}

impl ServerTunables {
    pub(crate) fn new(advanced: &Advanced) -> Self {
        let worker_threads = advanced.worker_threads.unwrap_or_else(machine::cores);
        Self { frame_ms: advanced.frame_ms, worker_threads }
    }
}

impl Component for ServerTunables {
    fn name(&self) -> &'static str {
        "server"
    }

    fn tunables(&self) -> Vec<Tunable> {
        let frames = f64::from(*FRAME_MS.start())..=f64::from(*FRAME_MS.end());
        let workers = self.worker_threads;
        let max_workers = machine::cores().max(workers) as f64;
        vec![
            Tunable::new("frame_ms", "advanced.frame_ms", self.frame_ms as f64, frames, "ms"),
            Tunable::new(
                "worker_threads",
                "advanced.worker_threads",
                workers as f64,
                1.0..=max_workers,
                "threads",
            ),
        ]
    }
}
