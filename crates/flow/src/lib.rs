//! Decorators round the core traits, one file each: an engine goes in, the same trait comes out.

mod batch;
mod batched;
mod due;
mod observed;
mod placement;
mod shared;

pub use batch::{BatchStatistics, Batcher, Limits as BatchLimits, MAX_BATCH, Operation, Ticket};
pub use batched::Batched;
pub use observed::Observed;
pub use placement::{Bounds, Kind, Placement};
pub use shared::Shared;
