//! Deepgram, or its engine on one's own machines.

mod listen;

pub use listen::{DeepgramListen, DeepgramListenOptions};
