//! Decorators round the core traits, one file each: an engine goes in, the same trait comes out.

mod breaker;
mod guarded;
mod limit;
mod observed;
mod scheduler;
mod target;

pub use breaker::{Breaker, BreakerState, Ticket};
pub use guarded::Guarded;
pub use limit::{Limit, LimitBounds, Sample};
pub use observed::Observed;
pub use scheduler::{Permit, Scheduler};
pub use target::{AnswerBounds, Target, Targets};
