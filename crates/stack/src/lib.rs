//! From a configuration file to the engines that it describes.
//!
//! [`config`] reads and checks the file, [`models`] fetches what embedded engines need, and [`build`] makes the engines
//! with everything that stands before them: guards, caches, fallback.

pub mod config;
pub mod machine;
pub mod models;
mod stack;
mod tunables;

pub use stack::{
    BuildContext, IsIdle, Stack, build, caches, default_voice, engine_names, listed, probe_llm,
    read_knowledge, session_config,
};
