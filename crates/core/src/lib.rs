//! Words and rules of Antiphon: media types, provider traits, and the turn-taking machine.
//!
//! Nothing here reads a clock, does I/O or knows a runtime: time is an argument, streams are the only
//! asynchrony, and everything can be tested in virtual time.

mod audio;
pub mod call;
mod chat;
pub mod dialog;
mod embed;
mod emotion;
mod error;
mod event;
mod foresight;
mod id;
mod item;
mod knowledge;
mod llm;
pub mod measure;
mod memory;
mod observe;
mod rate;
pub mod settings;
mod stt;
mod tenant;
mod time;
pub mod trace;
mod tts;
mod turn;
mod vad;

pub use audio::{AudioChunk, FRAME, FRAME_SAMPLES, SampleRate};
pub use call::Transport;
pub use chat::{
    ChatRequest, FinishReason, Message, Priority, Reuse, Role, Tool, ToolCall, ToolChoice, Usage,
};
pub use embed::Embed;
pub use emotion::{Emotion, EmotionClassifier, EmotionScores};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, ReplyStatus, Step, StepOutcome, StepReport, TurnLatency};
pub use foresight::{AgentId, Foresight, Preparation, PreparationOutcome, Said};
pub use futures_core::Stream;
pub use futures_core::future::BoxFuture;
pub use futures_core::stream::BoxStream;
pub use id::{CallId, ItemId, ReplyId, TurnId};
pub use item::{Item, ItemContent, ItemStatus, Part};
pub use knowledge::{Knowledge, Passage};
pub use llm::{CacheHit, ChatDelta, Llm};
pub use memory::{Memories, Memory, Recollection};
pub use observe::{CallOutcome, CallStart, Observer, RequestOutcome};
pub use rate::{RateLimit, RateLimits};
pub use stt::{Segment, Stt, SttInput, SttOptions, Transcript};
pub use tenant::DEFAULT_TENANT;
pub use time::MediaTime;
pub use tts::{SpeechRequest, Style, Tts, Voice};
pub use turn::TurnDetector;
pub use vad::{Vad, VadStream, VoiceProbability};
