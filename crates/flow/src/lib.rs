//! What stands between a call and its engines, so that a slow, failing or overloaded engine is not heard: decorators round the
//! core traits, one file each. An engine goes in, and something with the same trait comes out.

mod batch;
mod batched;
mod breaker;
mod cpu_pool;
mod fallback;
mod guarded;
mod hedge;
mod late_observer;
mod limit;
mod meter;
mod observed;
mod on_behalf;
mod scheduler;
mod shared;
mod speech_only;
mod target;
mod thoughts;

pub use batch::{
    BatchStatistics, Batcher, Limits as BatchLimits, MAX_BATCH, Operation, Ticket as BatchTicket,
};
pub use batched::Batched;
pub use breaker::{Breaker, BreakerState, Ticket};
pub use cpu_pool::{Bounds as PoolBounds, CpuPool};
pub use fallback::{Fallback, FallbackStage};
pub use guarded::Guarded;
pub use hedge::{Hedge, HedgeStage};
pub use late_observer::LateObserver;
pub use limit::{Limit, LimitBounds, Sample};
pub use meter::Meters;
pub use observed::Observed;
pub use scheduler::{Permit, Scheduler};
pub use shared::{Piece, Shared, SharedCalls, SharedReader};
pub use speech_only::SpeechOnly;
pub use target::{AnswerBounds, Target, Targets};
pub use thoughts::WithoutThoughts;
