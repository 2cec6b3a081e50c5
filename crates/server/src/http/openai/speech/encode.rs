//! From what the engine says to the bytes of a file.

use antiphon_audio::{EncodeError, FileEncoder, FileFormat, Resampler};
use antiphon_core::{AudioChunk, BoxStream, Error, Result, SampleRate};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::task::{JoinError, spawn_blocking};

/// The rate of a file without a header, which cannot say its own: OpenAI's.
const PCM_RATE: SampleRate = SampleRate::HZ_24000;

/// Makes a file piece by piece.
struct Encoder {
    file: FileEncoder,
    resampler: Option<Resampler>,
    resampled: Vec<i16>,
}

impl Encoder {
    /// Begins a file of audio at `rate`; gives its first bytes too.
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

/// The bytes of the file as the audio comes. Encoding happens away from the threads that serve calls.
pub(super) fn stream(
    chunks: Chunks,
    format: FileFormat,
    rate: SampleRate,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let (header, encoder) = Encoder::start(format, rate).map_err(|error| refused(&error))?;
    let rest = stream::unfold(Some((chunks, encoder)), async |state| next(state?).await);
    let bytes = stream::iter([Ok(Bytes::from(header))]).chain(rest);
    Ok(bytes.filter(|bytes| std::future::ready(!bytes.as_ref().is_ok_and(Bytes::is_empty))).boxed())
}

/// The next bytes, and what is needed for more.
async fn next(
    (mut chunks, mut encoder): (Chunks, Encoder),
) -> Option<(Result<Bytes>, Option<(Chunks, Encoder)>)> {
    let chunk = match chunks.next().await {
        Some(Ok(chunk)) => chunk,
        Some(Err(error)) => return Some((Err(error), None)),
        None => {
            let last = spawn_blocking(|| encoder.finish()).await.map_err(broken);
            return Some((
                last.and_then(|last| last.map_err(|error| refused(&error))).map(Bytes::from),
                None,
            ));
        }
    };
    match spawn_blocking(move || (encoder.push(&chunk.samples), encoder)).await {
        Ok((Ok(bytes), encoder)) => Some((Ok(bytes.into()), Some((chunks, encoder)))),
        Ok((Err(error), _)) => Some((Err(refused(&error)), None)),
        Err(error) => Some((Err(broken(error)), None)),
    }
}

fn refused(error: &EncodeError) -> Error {
    Error::internal(error.to_string())
}

fn broken(_: JoinError) -> Error {
    Error::internal("the audio encoder broke; the log says more")
}
