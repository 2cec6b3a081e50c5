//! What holds for the source as a whole: which files import which, and in what words it is written.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod loops;
mod modules;
mod source;
mod words;
