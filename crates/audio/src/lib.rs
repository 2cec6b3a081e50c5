//! Audio for calls: codecs, files, resampling, and a cheap gate before voice activity detection. All of it is synchronous.
//!
//! Nothing here reads a clock, does I/O or starts a thread. What runs for every frame of a call ([`Ingest`], [`Resampler`],
//! [`Law`]) allocates nothing after its first frames.

mod clip;
mod encode;
mod file;
mod g711;
mod gate;
mod ingest;
mod resample;
#[cfg(test)]
mod testing;

pub use clip::{ClipError, ClipReader, encode_clip};
pub use encode::{EncodeError, FileEncoder, FileFormat, encode_file};
pub use file::{FileDecoder, FileError, decode_file, is_longer};
pub use g711::Law;
pub use gate::Gate;
pub use ingest::Ingest;
pub use resample::Resampler;
