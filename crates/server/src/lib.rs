//! Transports, HTTP, command line: the antiphon binary.

pub mod app;
mod benchmark;
pub mod caching;
mod capacity;
pub mod cli;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod http;
mod optimize;
pub mod reporting;
mod stable_text;
mod transports;
