//! Timing in one line, for code that has no component of its own: see [`timing`].

use std::sync::{Arc, Mutex};
use std::time::Instant;

use antiphon_core::lock;
use antiphon_core::measure::{Component, Stage};

/// The components that [`timing`] has created. Their names are written in the code, so there are few, and they live
/// as long as the program.
static PARTS: Mutex<Vec<Arc<Part>>> = Mutex::new(Vec::new());

/// Times from here until the guard is dropped, as a stage of a component. Both appear in every report and metric
/// by themselves.
///
/// Each call looks the names up, which takes a lock and some 100 ns: for steps of a millisecond and more. A component that times
/// something for every frame or request holds its own [`Stage`].
///
/// ```
/// fn parse(text: &str) -> usize {
///     let _timing = antiphon_telemetry::timing("knowledge", "parse");
///     text.len()
/// }
/// # assert_eq!(parse("abc"), 3);
/// ```
pub fn timing(component: &'static str, stage: &'static str) -> Timing {
    Timing { stage: named(component, stage), began: Instant::now() }
}

/// Records its lifetime as a span of its stage: see [`timing`].
#[derive(Debug)]
#[must_use = "it measures until it is dropped"]
pub struct Timing {
    stage: &'static Stage,
    began: Instant,
}

impl Timing {
    /// Ends the span now; if the step has not `worked`, it also counts as an error.
    pub fn end(self, worked: bool) {
        if !worked {
            self.stage.fail();
        }
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        self.stage.record(self.began.elapsed());
    }
}

/// The stage of this name, which is created when it is first asked for and never freed.
fn named(component: &'static str, name: &'static str) -> &'static Stage {
    let mut parts = lock(&PARTS);
    let part = parts.iter().find(|part| part.name == component).cloned().unwrap_or_else(|| {
        let part = Arc::new(Part { name: component, stages: Mutex::default() });
        parts.push(Arc::clone(&part));
        part
    });
    let mut stages = lock(&part.stages);
    stages.iter().copied().find(|stage| stage.name() == name).unwrap_or_else(|| {
        let stage: &'static Stage = Box::leak(Box::new(Stage::new(name)));
        stages.push(stage);
        stage
    })
}

/// The components that [`timing`] has created so far.
pub(crate) fn components() -> Vec<Arc<dyn Component>> {
    let parts = lock(&PARTS);
    parts.iter().map(|part| Arc::clone(part) as Arc<dyn Component>).collect()
}

/// A component that has only stages.
struct Part {
    name: &'static str,
    stages: Mutex<Vec<&'static Stage>>,
}

impl Component for Part {
    fn name(&self) -> &'static str {
        self.name
    }

    fn stages(&self) -> Vec<&Stage> {
        lock(&self.stages).clone()
    }
}
