//! Speech and language engines behind the core traits, one file each.

pub mod anthropic;
pub mod assemblyai;
pub mod cartesia;
pub mod deepgram;
pub mod elevenlabs;
pub mod emotion;
pub mod energy;
pub mod fake;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod gemini;
pub mod kokoro;
#[cfg(feature = "llama")]
pub mod llama;
pub mod llama_settings;
mod loudness;
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
