//! The format in which spoken clauses are cached: Opus.

use antiphon_audio::{ClipError, ClipReader, encode_clip};
use antiphon_cache::{SpeechCodec, SpeechReader};
use antiphon_core::{Error, Result, SampleRate};
use bytes::Bytes;

/// Encodes clauses as clips of Opus packets.
pub(super) struct Clips;

impl SpeechCodec for Clips {
    fn encode(&self, rate: SampleRate, samples: &[i16]) -> Result<Vec<u8>> {
        encode_clip(rate, samples).map_err(|error| Error::internal(error.to_string()))
    }

    fn decode(&self, bytes: Bytes) -> Result<SpeechReader> {
        let damaged = |error: ClipError| Error::internal(error.to_string());
        let reader = ClipReader::new(bytes).map_err(damaged)?;
        Ok(Box::new(reader.map(move |chunk| chunk.map_err(damaged))))
    }
}
