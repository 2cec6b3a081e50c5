//! What of the server itself can be set, beside its engines.

use antiphon_core::measure::{Component, Tunable};

use crate::config::{FRAME_MS, Server};
use crate::machine;

/// The server as a component.
#[derive(Debug)]
pub(crate) struct ServerTunables {
    frame_ms: u64,
    worker_threads: usize,
}

impl ServerTunables {
    pub(crate) fn new(server: &Server) -> Self {
        let worker_threads = server.worker_threads.unwrap_or_else(machine::cores);
        Self { frame_ms: server.frame_ms, worker_threads }
    }
}

impl Component for ServerTunables {
    fn name(&self) -> &'static str {
        "server"
    }

    fn tunables(&self) -> Vec<Tunable> {
        let tunable = |name: &'static str, key: &'static str, unit: &'static str, value, min, max| Tunable {
            name: name.into(),
            key: key.into(),
            value,
            min,
            max,
            unit: unit.into(),
            live: false,
        };
        let (least, most) = (*FRAME_MS.start() as f64, *FRAME_MS.end() as f64);
        let workers = self.worker_threads;
        let max_workers = machine::cores().max(workers) as f64;
        vec![
            tunable("frame_ms", "server.frame_ms", "ms", self.frame_ms as f64, least, most),
            tunable("worker_threads", "server.worker_threads", "threads", workers as f64, 1.0, max_workers),
        ]
    }
}
