//! Rules for the source as a whole: which files may import which, how comments and names are worded,
//! and where constants stand.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod constants;
mod examples;
mod loops;
mod modules;
mod schemas;
mod source;
mod words;
