//! Rules for the source as a whole: which files may import which, and how comments and names are worded.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod loops;
mod modules;
mod source;
mod words;
