//! Transports, HTTP, command line: the antiphon binary.

pub mod app;
mod benchmark;
pub mod caching;
mod capacity;
pub mod cli;
pub mod config;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod http;
mod machine;
mod models;
mod optimize;
pub mod reporting;
mod stable_text;
pub mod stack;
mod transports;
mod tunables;
