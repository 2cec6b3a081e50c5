//! Transports, HTTP, command line: the antiphon binary.

pub mod app;
pub mod cli;
pub mod config;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod http;
mod models;
mod stable_text;
pub mod stack;
#[cfg(test)]
mod testing;
mod transports;
