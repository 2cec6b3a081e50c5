//! The configuration of a server under test: simulated engines, real voice activity detection.
#![allow(dead_code, reason = "each benchmark uses its share")]

/// Length of the silence that ends a turn, in milliseconds.
pub(crate) const SILENCE_MS: u64 = 500;
const STT_MS: u64 = 100;
const FIRST_TOKEN_MS: u64 = 200;
const TOKEN_MS: u64 = 10;
const FIRST_AUDIO_MS: u64 = 80;
/// How many tokens the simulated text needs for its first clause.
const FIRST_CLAUSE_TOKENS: u64 = 8;
/// The lowest possible latency: no overhead at all, and all stages one after the other.
pub(crate) const FLOOR_MS: u64 =
    SILENCE_MS + STT_MS + FIRST_TOKEN_MS + TOKEN_MS * FIRST_CLAUSE_TOKENS + FIRST_AUDIO_MS;

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
tokens = 20
text = "Your order has been shipped and will arrive, if nothing happens on the way, on Thursday before noon."
[tts]
engine = "sim"
first_audio_ms = {FIRST_AUDIO_MS}
audio_ms = 2000
realtime = true
[embed]
engine = "sim"
[cache]
enabled = false
"#
    )
}
