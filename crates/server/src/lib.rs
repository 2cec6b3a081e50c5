//! HTTP, command line, background jobs: the antiphon binary.

pub mod app;
mod benchmark;
pub mod caching;
mod capacity;
pub mod cli;
pub mod http;
mod optimize;
pub mod reporting;
