//! Deepgram's speech recognition and voices, in the cloud or self-hosted.

pub(crate) mod listen;
mod speak;

pub use listen::{DeepgramListen, DeepgramListenOptions, DeepgramListenSettings};
pub use speak::{DeepgramSpeech, DeepgramSpeechOptions, DeepgramSpeechSettings};
