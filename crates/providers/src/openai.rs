//! OpenAI and every server that speaks as it does: Azure, Groq, vLLM, llama-server, Ollama.

mod chat;
mod embeddings;
mod server;
mod speech;
mod transcription;

pub use chat::{OpenAiChat, OpenAiOptions};
pub use embeddings::{OpenAiEmbed, OpenAiEmbedOptions};
pub use server::Auth;
pub use speech::{OpenAiSpeech, OpenAiSpeechOptions};
pub use transcription::{OpenAiTranscription, OpenAiTranscriptionOptions};
