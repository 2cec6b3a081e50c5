//! Decodes a file for speech recognition on a separate thread, no faster than the engine accepts the audio.

use std::fs::File;
use std::io::Seek;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use antiphon_audio::{FileDecoder, FileError, Resampler};
use antiphon_core::{BoxStream, Error, Result, SampleRate, SttInput};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// Samples in one chunk: a second of audio, so that handing it over costs nearly nothing.
const CHUNK: usize = RATE as usize;
/// Most chunks that are decoded ahead of the engine.
const AHEAD: usize = 4;
/// Longest audio in hours. Some codecs compress days of audio into the largest upload.
const MAX_HOURS: u64 = 2;
const LONGEST: Duration = Duration::from_hours(MAX_HOURS);
/// The sample rate of the models in Hz.
const RATE: u64 = SampleRate::HZ_16000.hz() as u64;

/// A file that is being decoded.
pub(super) struct Decoding {
    /// The audio of the file for the engine. Dropping it ends the thread.
    pub(super) audio: BoxStream<'static, SttInput>,
    /// How many samples at 16 kHz the engine has received.
    pub(super) taken: Arc<AtomicU64>,
    /// The decoder's thread, which ends at the end of the file.
    pub(super) thread: JoinHandle<Result<()>>,
}

impl Decoding {
    /// Opens a file and decodes it while the engine receives it. A file that is too long is refused before it costs anything.
    pub(super) async fn begin(file: File) -> Result<Self> {
        let decoder = spawn_blocking(move || open(file)).await.map_err(broken)??;
        let (sender, receiver) = mpsc::channel(AHEAD);
        let thread = spawn_blocking(move || decode(decoder, &sender));
        let taken = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&taken);
        let audio = stream::unfold(receiver, async |mut receiver: mpsc::Receiver<Arc<[i16]>>| {
            Some((receiver.recv().await?, receiver))
        });
        let audio = audio.map(move |chunk: Arc<[i16]>| {
            count.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            SttInput::Audio(chunk)
        });
        Ok(Self { audio: audio.boxed(), taken, thread })
    }
}

/// The error that ended the file too early, if there was one. Resolves once all audio was received or dropped.
pub(super) async fn failure(thread: JoinHandle<Result<()>>) -> Option<Error> {
    thread.await.map_err(broken).flatten().err()
}

/// The length of this many samples in seconds.
pub(super) fn seconds(samples: u64) -> f64 {
    samples as f64 / RATE as f64
}

fn open(mut file: File) -> Result<FileDecoder<'static>> {
    let again =
        |error: std::io::Error| Error::internal(format!("the stored upload could not be read: {error}"));
    let packets = file.try_clone().map_err(again)?;
    if antiphon_audio::is_longer(packets, LONGEST).map_err(|error| unreadable(&error))? {
        return Err(too_long());
    }
    file.rewind().map_err(again)?;
    FileDecoder::open(file).map_err(|error| unreadable(&error))
}

fn too_long() -> Error {
    Error::invalid(format!("the file is longer than {MAX_HOURS} hours; send it in parts"))
}

/// Sends the whole file. Stops without an error when the receiver has gone.
fn decode(mut decoder: FileDecoder, sender: &mpsc::Sender<Arc<[i16]>>) -> Result<()> {
    let mut decoded = Vec::new();
    let mut resampler = None;
    let mut samples = Vec::with_capacity(CHUNK);
    let mut total = 0;
    let mut more = true;
    while more {
        let rate = decoder.read(&mut decoded).map_err(|error| unreadable(&error))?;
        more = rate.is_some();
        if let Some(rate) = rate.or(decoder.rate()) {
            let resampler = resampler.get_or_insert_with(|| Resampler::new(rate, SampleRate::HZ_16000));
            resampler.process(&decoded, &mut samples);
            decoded.clear();
            if !more {
                resampler.flush(&mut samples);
            }
        }
        if more && samples.len() < CHUNK {
            continue;
        }
        total += samples.len() as u64;
        if total > MAX_HOURS * 3_600 * RATE {
            return Err(too_long());
        }
        let chunk = Arc::from(samples.as_slice());
        samples.clear();
        if sender.blocking_send(chunk).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn unreadable(error: &FileError) -> Error {
    Error::invalid(error.to_string())
}

fn broken(_: JoinError) -> Error {
    Error::internal("the audio decoder broke on this file; the log says more")
}
