//! HTTP, command line, background jobs: the antiphon binary.

pub mod app;
mod capacity;
pub mod cli;
mod findings;
pub mod http;
mod jobs;
pub mod settings;
