//! Measuring: what all components time and count, and its export.

mod metrics;
mod monitor;
mod observers;
mod pipeline;
mod process;

pub use metrics::Metrics;
pub use monitor::{ComponentReport, Monitor, Report, StageReport, TICK};
pub use observers::Observers;
pub use pipeline::Pipeline;
