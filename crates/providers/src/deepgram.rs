//! Deepgram.

mod speak;

pub use speak::{DeepgramSpeech, DeepgramSpeechOptions};
