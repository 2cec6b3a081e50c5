//! Builds the engines that a configuration file describes.
//!
//! [`config`] reads and checks the file, [`models`] fetches the models of embedded engines, and [`build`] makes the
//! engines with everything in front of them: guards, caches, fallback.

pub mod config;
pub mod machine;
pub mod models;
mod stack;
mod tunables;

pub use stack::{
    BuildContext, IsIdle, Stack, build, caches, check, default_voice, engine_names, listed, probe_llm,
    read_knowledge, session_config,
};
