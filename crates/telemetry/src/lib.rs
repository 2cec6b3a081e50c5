//! Measurements of all components: collected, kept over time, exported, and watched by alerts. Also profiles and traces.

#![expect(clippy::disallowed_methods, reason = "measures how long things really take, and when")]

mod alerts;
mod allocations;
mod calls;
mod clock;
mod history;
mod metrics;
mod monitor;
mod observers;
mod pipeline;
mod plain_text;
mod process;
pub mod profile;
mod report;
mod scrape;
mod spans;
mod store;
#[cfg(test)]
mod testing;
mod timing;
mod watcher;

pub use alerts::{Alert, AlertState, Alerts, Rule};
pub use allocations::allocations;
pub use calls::{CallView, LiveCalls, Prices, TurnView};
pub use clock::unix_time;
pub use history::{Key, Period, Spans};
pub use metrics::Metrics;
pub use monitor::{Monitor, TICK};
pub use observers::Observers;
pub use pipeline::Pipeline;
pub use process::{Process, ProcessUsage, cpu_time};
pub use report::{ComponentReport, LevelSeries, Report, Series, StageReport, StageSeries};
pub use spans::{OpenRequest, SpanRecorder};
pub use store::{Document, PERFORMANCE, Store, StoreError};
pub use timing::{Timing, timing};
pub use watcher::Watcher;
