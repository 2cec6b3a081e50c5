//! OpenAI, and servers with the same API: Azure, Groq, vLLM, llama-server, Ollama.

pub(crate) mod chat;
pub(crate) mod embeddings;
mod server;
mod speech;
pub(crate) mod transcription;

pub use chat::{OpenAiChat, OpenAiChatSettings, OpenAiOptions};
pub use embeddings::{OpenAiEmbed, OpenAiEmbedOptions, OpenAiEmbedSettings};
pub use server::Auth;
pub use speech::{OpenAiSpeech, OpenAiSpeechOptions, OpenAiSpeechSettings};
pub use transcription::{OpenAiTranscription, OpenAiTranscriptionOptions, OpenAiTranscriptionSettings};
