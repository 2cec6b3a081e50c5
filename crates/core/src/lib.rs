//! Words and rules of Antiphon: media types, provider traits, and the turn-taking machine.
//!
//! Nothing here reads a clock, does I/O or knows a runtime: time is an argument, streams are the only
//! asynchrony, and everything can be tested in virtual time.

mod audio;
pub mod call;
mod chat;
mod control;
pub mod dialog;
mod embed;
mod emotion;
mod error;
mod event;
mod id;
mod identity;
mod item;
mod knowledge;
mod llm;
mod lock;
pub mod measure;
mod memory;
mod observe;
mod prefetch;
mod priority;
mod rate;
pub mod session;
pub mod settings;
mod stable_text;
mod stt;
mod time;
mod tools;
pub mod trace;
mod tts;
mod turn;
mod vad;
mod version;

pub use audio::{AudioChunk, FRAME, FRAME_SAMPLES, SampleRate};
pub use call::Transport;
pub use chat::{
    AnswerForm, ChatRequest, FinishReason, Message, Reuse, Role, Tool, ToolCall, ToolChoice, Usage,
};
pub use control::{CallControl, CallEnd, CallOutcome, HangUpReason};
pub use embed::{Embed, EmbedCard};
pub use emotion::{Emotion, EmotionClassifier, EmotionScores};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, ReplyStatus, Step, StepOutcome, StepReport, TurnLatency};
pub use futures_core::Stream;
pub use futures_core::future::BoxFuture;
pub use futures_core::stream::BoxStream;
pub use id::{AgentId, CallId, ItemId, KeyId, ReplyId, TenantId, TurnId};
pub use identity::{Caller, Identity, PersonId, Requester, Share};
pub use item::{ConversationItem, ItemContent, ItemStatus, Part};
pub use knowledge::{Knowledge, Passage, Search};
pub use llm::{CacheHit, ChatDelta, Llm, LlmCard};
pub use lock::lock;
pub use memory::{Memories, Memory, Recollection};
pub use observe::{CallStart, Observer, RequestOutcome};
pub use prefetch::{AgentVersion, AnsweredQuestion, Prefetch, PrefetchOutcome, Prefetched};
pub use priority::Priority;
pub use rate::{RateLimit, RateLimits};
pub use stable_text::StableText;
pub use stt::{Deferred, Segment, Stt, SttInput, SttOptions, Transcript};
pub use time::MediaTime;
pub use tools::{ToolAnswer, ToolCaller, Tools};
pub use tts::{SpeechRequest, Style, Tts, TtsCard, Voice};
pub use turn::TurnDetector;
pub use vad::{Vad, VadStream, VoiceProbability};
pub use version::{StoreChange, StoreVersion};
