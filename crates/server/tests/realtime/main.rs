//! OpenAI Realtime over real sockets. Every event is validated against OpenAI's own schemas.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says so in print"
)]

mod access;
mod bounds;
mod client;
mod conversation;
mod privacy;
mod proxies;
mod robustness;
mod speech;
#[path = "../support/mod.rs"]
mod support;
mod tools;
