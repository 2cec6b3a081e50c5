//! Transports, HTTP, command line: the antiphon binary.

pub mod app;
pub mod http;
mod metered;
