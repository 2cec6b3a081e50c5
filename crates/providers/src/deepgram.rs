//! Deepgram, or its engine on one's own machines.

pub(crate) mod listen;
mod speak;

pub use listen::{DeepgramListen, DeepgramListenOptions, DeepgramListenSettings};
pub use speak::{DeepgramSpeech, DeepgramSpeechOptions, DeepgramSpeechSettings};
