//! Engines that run on this machine: their models lie in the models folder, and no audio or text leaves the process.
//!
//! A new engine is one file here (and a folder of the same name where it needs more). It opens its model once per
//! process, lets [`ModelPool`](crate::pool::ModelPool) run what takes longer than a millisecond, implements one of
//! core's traits, and passes the specification of that trait in `spec.rs`. Its model gets an entry with source, licence
//! and checksum in the server's `models.toml`.

pub mod emotion;
pub mod energy;
pub mod gguf;
pub mod kokoro;
#[cfg(feature = "llama")]
pub mod llama;
pub mod llama_settings;
pub mod minilm;
pub mod moonshine;
pub mod onnx;
pub mod phonemes;
mod phrases;
pub mod piper;
pub mod silero;
pub mod smart_turn;
mod voice;
mod waveform;
