//! Monitoring, profiling, load tests and benchmarks of the running program.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says so in print"
)]

mod alerts;
mod benchmark;
mod caching;
mod damage;
mod deploy;
mod endings;
mod history;
mod instances;
mod load;
mod long_words;
mod meaning;
mod model;
mod noises;
mod non_speech;
mod prefetch;
mod profile;
mod program;
mod realtime_call;
mod resilience;
mod single_call;
mod special_tokens;
mod thoughts;
mod tool_schemas;
mod traces;
mod voice;
