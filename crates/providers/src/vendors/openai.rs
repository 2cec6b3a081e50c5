//! OpenAI, and servers with the same API: Azure, Groq, vLLM, llama-server, Ollama.

pub(crate) mod chat;
pub(crate) mod embeddings;
mod server;
mod speech;
pub(crate) mod transcription;

pub use chat::{OpenAiChat, OpenAiOptions};
pub use embeddings::{OpenAiEmbed, OpenAiEmbedOptions};
pub use server::Auth;
pub use speech::{OpenAiSpeech, OpenAiSpeechOptions};
pub use transcription::{OpenAiTranscription, OpenAiTranscriptionOptions};
