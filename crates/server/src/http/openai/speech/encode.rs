//! Encodes the engine's audio to the bytes of a file.

use std::sync::Arc;

use antiphon_audio::{EncodeError, FileEncoder, FileFormat, Resampler};
use antiphon_core::{AudioChunk, BoxStream, Error, Priority, Result, SampleRate};
use antiphon_flow::CpuPool;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

/// The sample rate of files without a header, which cannot state it. It is the one that OpenAI uses.
const PCM_RATE: SampleRate = SampleRate::HZ_24000;

/// Encodes a file piece by piece.
struct Encoder {
    file: FileEncoder,
    resampler: Option<Resampler>,
    resampled: Vec<i16>,
}

impl Encoder {
    /// Begins a file of audio at `rate`. Returns its first bytes as well.
    fn start(format: FileFormat, rate: SampleRate) -> Result<(Vec<u8>, Self), EncodeError> {
        let resampler = (format == FileFormat::Pcm).then(|| Resampler::new(rate, PCM_RATE));
        let mut bytes = Vec::new();
        let file = FileEncoder::start(format, rate, None, &mut bytes)?;
        Ok((bytes, Self { file, resampler, resampled: Vec::new() }))
    }

    fn push(&mut self, samples: &[i16]) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::new();
        match &mut self.resampler {
            None => self.file.push(samples, &mut bytes)?,
            Some(resampler) => {
                self.resampled.clear();
                resampler.process(samples, &mut self.resampled);
                self.file.push(&self.resampled, &mut bytes)?;
            }
        }
        Ok(bytes)
    }

    fn finish(mut self) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::new();
        if let Some(resampler) = &mut self.resampler {
            self.resampled.clear();
            resampler.flush(&mut self.resampled);
            self.file.push(&self.resampled, &mut bytes)?;
        }
        self.file.finish(&mut bytes)?;
        Ok(bytes)
    }
}

type Chunks = BoxStream<'static, Result<AudioChunk>>;

/// The bytes of the file while the audio is being made. Encoding runs on other threads than those that serve calls.
pub(super) fn stream(
    chunks: Chunks,
    format: FileFormat,
    rate: SampleRate,
    cpu_pool: Arc<CpuPool>,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let (header, encoder) = Encoder::start(format, rate).map_err(|error| refused(&error))?;
    let rest = stream::unfold(Some((chunks, encoder)), move |state| {
        let cpu_pool = Arc::clone(&cpu_pool);
        async move { next(state?, &cpu_pool).await }
    });
    let bytes = stream::iter([Ok(Bytes::from(header))]).chain(rest);
    Ok(bytes.filter(|bytes| std::future::ready(!bytes.as_ref().is_ok_and(Bytes::is_empty))).boxed())
}

/// The next bytes, and the state that is needed for more.
async fn next(
    (mut chunks, mut encoder): (Chunks, Encoder),
    cpu_pool: &CpuPool,
) -> Option<(Result<Bytes>, Option<(Chunks, Encoder)>)> {
    let chunk = match chunks.next().await {
        Some(Ok(chunk)) => chunk,
        Some(Err(error)) => return Some((Err(error), None)),
        None => {
            let finish = move || encoder.finish().map_err(|error| refused(&error));
            let last = cpu_pool.run(Priority::Interactive, finish).await;
            return Some((last.map(Bytes::from), None));
        }
    };
    let push = move || match encoder.push(&chunk.samples) {
        Ok(bytes) => Ok((bytes, encoder)),
        Err(error) => Err(refused(&error)),
    };
    match cpu_pool.run(Priority::Interactive, push).await {
        Ok((bytes, encoder)) => Some((Ok(bytes.into()), Some((chunks, encoder)))),
        Err(error) => Some((Err(error), None)),
    }
}

fn refused(error: &EncodeError) -> Error {
    Error::internal(error.to_string())
}
