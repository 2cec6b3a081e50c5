//! Decorators round the core traits, one file each: an engine goes in, the same trait comes out.

mod fallback;
mod hedge;
mod observed;

pub use fallback::{Bounds, Fallback, FallbackStage};
pub use hedge::Hedge;
pub use observed::Observed;
