//! The configuration of a server under test: simulated engines, real voice activity detection.
#![allow(dead_code, reason = "each benchmark uses its share")]

/// Length of the silence that ends a turn, in milliseconds.
pub(crate) const SILENCE_MS: u64 = 500;
const STT_MS: u64 = 100;
const FIRST_TOKEN_MS: u64 = 200;
const TOKEN_MS: u64 = 10;
const FIRST_AUDIO_MS: u64 = 80;
/// Tokens of a reply. Its text is one clause, because the simulated voice speaks each clause for [`REPLY_MS`].
const TOKENS: u64 = 9;
/// Length of a reply's audio, in milliseconds.
const REPLY_MS: u64 = 2_000;
/// The lowest possible latency: no overhead at all, and all stages one after the other.
pub(crate) const FLOOR_MS: u64 =
    SILENCE_MS + STT_MS + FIRST_TOKEN_MS + TOKEN_MS * (TOKENS - 1) + FIRST_AUDIO_MS;

/// The configuration with simulated engines for all stages but VAD.
pub(crate) fn settings() -> String {
    format!(
        r#"
[vad]
engine = "silero"
[turn]
engine = "silence"
silence_ms = {SILENCE_MS}
[stt]
engine = "sim"
delay_ms = {STT_MS}
text = "What is the status of my order?"
[llm]
engine = "sim"
first_token_ms = {FIRST_TOKEN_MS}
token_ms = {TOKEN_MS}
tokens = {TOKENS}
text = "Your order will arrive here on Thursday before noon."
[tts]
engine = "sim"
first_audio_ms = {FIRST_AUDIO_MS}
audio_ms = {REPLY_MS}
realtime = true
[embed]
engine = "sim"
[cache]
enabled = false
"#
    )
}
