//! Engines that are services of others, reached over HTTP or a WebSocket.
//!
//! A new vendor is one file here (and a folder of the same name where it needs more): its options with their defaults,
//! and the translation between the vendor's messages and core's types. Connections, bounds, retries and the reading of
//! errors come from [`remote`](crate::remote), mostly by implementing one of its two `Dialect` traits (for
//! [chat](crate::remote::chat) or [speech recognition](crate::remote::listening)). It passes the specification of its
//! trait in `spec.rs` against a scripted server, and what it reads from the network is fuzzed (`fuzzing.rs`).

pub mod anthropic;
pub mod assemblyai;
pub mod cartesia;
pub mod deepgram;
pub mod elevenlabs;
pub mod gemini;
pub mod openai;
