//! What the tests and benchmarks of all crates share: where the test data, the models and the installed programs are, a
//! Redis server, an embedder that needs no model, and the frame of programs whose instructions are counted.
//!
//! Nothing here answers "not there": what a test needs and does not find fails the test, and the message says what to
//! install. A test that returned early instead would count as passed without having tested anything.
#![allow(clippy::panic, clippy::expect_used, reason = "what is missing fails the test that needs it")]

mod files;
pub mod instructions;
mod letters;
#[cfg(feature = "redis")]
mod redis_server;
pub mod vectors;

pub use files::{client, large_testdata, models, repository, testdata, testdata_files, wav16};
pub use letters::Letters;
#[cfg(feature = "redis")]
pub use redis_server::{RedisServer, free_port};
