//! Clips of `antiphon-audio` as the cache's codec, as the server has it.

use antiphon_audio::{ClipReader, encode_clip};
use antiphon_cache::{SpeechCodec, SpeechReader};
use antiphon_core::{Error, Result, SampleRate};
use bytes::Bytes;

pub(crate) struct Clips;

impl SpeechCodec for Clips {
    fn encode(&self, rate: SampleRate, samples: &[i16]) -> Result<Vec<u8>> {
        encode_clip(rate, samples).map_err(|error| Error::internal(error.to_string()))
    }

    fn decode(&self, bytes: Bytes) -> Result<SpeechReader> {
        let failed = |error: antiphon_audio::ClipError| Error::invalid(error.to_string());
        let reader = ClipReader::new(bytes).map_err(failed)?;
        Ok(Box::new(reader.map(move |chunk| chunk.map_err(failed))))
    }
}
