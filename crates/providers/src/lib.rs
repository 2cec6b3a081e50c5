//! Speech and language engines behind the core traits, one file each.

pub mod emotion;
pub mod energy;
pub mod fake;
pub mod kokoro;
#[cfg(feature = "llama")]
pub mod llama;
pub mod minilm;
pub mod moonshine;
pub mod onnx;
pub mod openai;
pub mod phonemes;
pub mod piper;
pub mod pool;
pub mod remote;
pub mod silero;
pub mod sim;
pub mod smart_turn;
#[cfg(test)]
mod spec;
pub mod speech_text;
#[cfg(test)]
mod testing;
mod voice;
mod waveform;
