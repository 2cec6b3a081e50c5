//! Measuring: timers, histograms and their export.

mod metrics;
mod process;

pub use metrics::Metrics;
