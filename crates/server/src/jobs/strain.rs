//! Measures whether this machine keeps up with its calls, for admission.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::measure::Component;
use antiphon_desk::{Calls, FRAME};
use tokio::time::{Instant, sleep_until};

/// Every so many frames the engines are asked how long requests wait.
const FRAMES_A_LOOK: u32 = 5;

/// Tells the admission every [`FRAME`] how late it is, as the frames of every call are, and for how long requests of live turns wait.
/// To be run as a task of its own, among those of calls. It ends only by being dropped.
pub(crate) async fn run(calls: Calls, components: Vec<Arc<dyn Component>>) {
    let mut waits = Duration::ZERO;
    for frame in (0..FRAMES_A_LOOK).cycle() {
        let due = Instant::now() + FRAME;
        sleep_until(due).await;
        if frame == 0 {
            waits = components.iter().map(|component| component.live_wait()).max().unwrap_or_default();
        }
        calls.measured(due.elapsed(), waits);
    }
}
