//! Measuring: what all components time, count and hold; its history, its export, and what is wrong with it.

#![expect(clippy::disallowed_methods, reason = "measures how long things really take, and when")]

// What `timed` makes names this crate, here too.
extern crate self as antiphon_telemetry;

mod alerts;
mod allocations;
mod calls;
mod clock;
mod history;
mod library;
mod metrics;
mod monitor;
mod observers;
mod pipeline;
mod process;
pub mod profile;
mod report;
mod scrape;
mod spans;
mod store;
#[cfg(test)]
mod testing;
mod watcher;

pub use alerts::{Alert, AlertState, Alerts, Rule};
pub use allocations::allocations;
pub use antiphon_core::measure::Stage;
pub use antiphon_macros::timed;
pub use calls::{CallView, LiveCalls, Prices, TurnView};
pub use clock::unix_time;
pub use history::{Key, Period, Spans};
pub use library::{Timing, stage};
pub use metrics::Metrics;
pub use monitor::{Monitor, TICK};
pub use observers::Observers;
pub use pipeline::Pipeline;
pub use process::{Process, Usage};
pub use report::{ComponentReport, LevelSeries, Report, Series, StageReport, StageSeries};
pub use spans::SpanRecorder;
pub use store::{Document, Store, StoreError};
pub use watcher::Watcher;
