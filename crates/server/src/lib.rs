//! The antiphon binary: HTTP server, command line and background jobs.

pub mod app;
mod capacity;
pub mod cli;
mod findings;
pub mod http;
mod jobs;
mod logging;
mod said_lately;
pub mod settings;
