//! Measures whether this machine keeps up with its calls, for admission.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::measure::Component;
use antiphon_desk::{Calls, FRAME};
use tokio::time::{Instant, sleep_until};

/// Every so many frames the engines are asked how long requests wait.
const FRAMES_A_LOOK: u32 = 5;

/// Tells the admission every [`FRAME`] how late frames are, and for how long requests of live turns wait for engines. Frames of calls
/// are as late as this task, and then they may wait to be judged. To be run as a task of its own, among those of calls. It ends only
/// by being dropped.
pub(crate) async fn run(calls: Calls, components: Vec<Arc<dyn Component>>) {
    let mut waits = Duration::ZERO;
    let longest = |wait: fn(&dyn Component) -> Duration| {
        components.iter().map(|component| wait(component.as_ref())).max().unwrap_or_default()
    };
    for frame in (0..FRAMES_A_LOOK).cycle() {
        let due = Instant::now() + FRAME;
        sleep_until(due).await;
        let late = due.elapsed();
        if frame == 0 {
            waits = longest(|component| component.live_wait());
        }
        calls.measured(late + longest(|component| component.frame_wait()), waits);
    }
}
