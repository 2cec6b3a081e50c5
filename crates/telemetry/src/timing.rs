//! Measuring in one line, for whoever builds on these crates: [`timing!`](crate::timing) and
//! [`timed`](crate::timed). What is measured so appears in every report by itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use antiphon_core::measure::{Component, Stage};

/// Measures from here to the end of the scope as a stage of a component.
///
/// ```
/// fn parse(text: &str) -> usize {
///     let _timing = antiphon_telemetry::timing!("knowledge", "parse");
///     text.len()
/// }
/// # assert_eq!(parse("abc"), 3);
/// ```
#[macro_export]
macro_rules! timing {
    ($component:expr, $stage:expr) => {{
        static STAGE: std::sync::LazyLock<&'static $crate::Stage> =
            std::sync::LazyLock::new(|| $crate::stage($component, $stage));
        $crate::Timing::begin(*STAGE)
    }};
}

/// Measures from its beginning until it is dropped or ended.
#[derive(Debug)]
pub struct Timing {
    stage: &'static Stage,
    began: Instant,
}

impl Timing {
    /// Begins now.
    pub fn begin(stage: &'static Stage) -> Self {
        Self { stage, began: Instant::now() }
    }

    /// Ends now; a failure is counted as one.
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

/// The stage of this name, made when it is asked for the first time; it lives as long as the program. To be asked
/// once a place, as [`timing!`](crate::timing) does, with names that are written in the code: each is kept for ever.
pub fn stage(component: &'static str, name: &'static str) -> &'static Stage {
    let mut parts = PARTS.lock().unwrap_or_else(PoisonError::into_inner);
    let part = parts.iter().find(|part| part.name == component).cloned().unwrap_or_else(|| {
        let part = Arc::new(Part { name: component, stages: Mutex::default() });
        parts.push(Arc::clone(&part));
        part
    });
    let mut stages = part.stages.lock().unwrap_or_else(PoisonError::into_inner);
    stages.iter().copied().find(|stage| stage.name() == name).unwrap_or_else(|| {
        let stage: &'static Stage = Box::leak(Box::new(Stage::new(name)));
        stages.push(stage);
        stage
    })
}

/// What was measured so, until now.
pub(crate) fn components() -> Vec<Arc<dyn Component>> {
    let parts = PARTS.lock().unwrap_or_else(PoisonError::into_inner);
    parts.iter().map(|part| Arc::clone(part) as Arc<dyn Component>).collect()
}

static PARTS: Mutex<Vec<Arc<Part>>> = Mutex::new(Vec::new());

struct Part {
    name: &'static str,
    stages: Mutex<Vec<&'static Stage>>,
}

impl Component for Part {
    fn name(&self) -> &'static str {
        self.name
    }

    fn stages(&self) -> Vec<&Stage> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
