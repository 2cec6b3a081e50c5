//! Telephone calls over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says so in print"
)]

mod keys;
#[path = "../support/mod.rs"]
mod support;
mod telnyx;
mod twilio;
mod withheld;
