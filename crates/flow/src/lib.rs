//! Decorators round the core traits, one file each: an engine goes in, the same trait comes out.

mod batch;
mod batched;
mod due;
mod fallback;
mod hedge;
mod observed;
mod placement;
mod shared;

pub use batch::{BatchStatistics, Batcher, Limits as BatchLimits, MAX_BATCH, Operation, Ticket};
pub use batched::Batched;
pub use fallback::{Bounds as FallbackBounds, Fallback, FallbackStage};
pub use hedge::Hedge;
pub use observed::Observed;
pub use placement::{Bounds as PoolBounds, Kind, Placement};
pub use shared::Shared;
