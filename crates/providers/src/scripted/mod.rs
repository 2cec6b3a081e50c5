//! Engines without a model, for tests, benchmarks and load tests.
//!
//! Engines in [`fake`] answer at once and always in the same way; those in [`sim`] take as long as they are
//! told to, and fail when they are told to. A new one passes the specification of its trait in `spec.rs` like every
//! other engine, so that what is tested with it holds for real engines, too.

pub mod fake;
pub mod sim;
