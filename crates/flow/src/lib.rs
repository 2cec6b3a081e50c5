//! Decorators round the core traits, one file each: an engine goes in, the same trait comes out.

mod observed;

pub use observed::Observed;
