//! The questions that callers ask, prepared as messages.

use std::time::Duration;

use antiphon_audio::{Law, Resampler, decode_file};
use antiphon_core::FRAME;
use antiphon_core::SampleRate;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::LoadError;
use super::wire::Protocol;

/// Length of the longest question.
const LONGEST: Duration = Duration::from_mins(1);
/// Samples of a frame at 8 kHz.
const FRAME_SAMPLES: usize = 160;
/// Speech ends with the last frame whose peak is above one part in so many of the loudest sample.
const QUIET: u16 = 50;

/// Spoken questions as mu-law at 8 kHz, cut off where the speech ends.
#[derive(Debug)]
pub struct Speech {
    /// For each question, its frames of 20 ms as base64.
    clips: Vec<Vec<String>>,
}

impl Speech {
    /// Takes one question from each WAV or FLAC file. Fails when there is none, or when one cannot be read, is silent
    /// or is longer than a minute.
    pub fn new(files: &[impl AsRef<[u8]>]) -> Result<Self, LoadError> {
        if files.is_empty() {
            return Err(LoadError::NoSpeech);
        }
        let clips = files.iter().enumerate().map(|(n, file)| clip(n + 1, file.as_ref()));
        Ok(Self { clips: clips.collect::<Result<_, _>>()? })
    }

    /// Length of the longest question.
    pub fn longest(&self) -> Duration {
        let frames = self.clips.iter().map(Vec::len).max().unwrap_or_default();
        FRAME * frames as u32
    }

    /// Every message a caller sends while it speaks or is silent.
    pub(super) fn script(&self, protocol: Protocol) -> Script {
        let message = |payload: &String| protocol.media(payload);
        Script {
            clips: self.clips.iter().map(|clip| clip.iter().map(message).collect()).collect(),
            silence: protocol.media(&encode(&[0; FRAME_SAMPLES])),
        }
    }
}

/// The questions as finished messages of 20 ms each.
pub(super) struct Script {
    /// The questions: at least one, and none of them is empty.
    pub(super) clips: Vec<Vec<Utf8Bytes>>,
    pub(super) silence: Utf8Bytes,
}

fn clip(number: usize, file: &[u8]) -> Result<Vec<String>, LoadError> {
    let audio = decode_file(file, LONGEST).map_err(|source| LoadError::Speech { number, source })?;
    let mut samples = Vec::new();
    let mut resampler = Resampler::new(audio.rate, SampleRate::HZ_8000);
    resampler.process(&audio.samples, &mut samples);
    resampler.flush(&mut samples);
    samples.resize(samples.len().next_multiple_of(FRAME_SAMPLES), 0);
    let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or_default();
    let loud = |frame: &&[i16]| frame.iter().any(|s| s.unsigned_abs() > peak / QUIET);
    let frames: Vec<&[i16]> = samples.chunks_exact(FRAME_SAMPLES).collect();
    let last = frames.iter().rposition(loud).ok_or(LoadError::Silent(number))?;
    Ok(frames[..=last].iter().map(|frame| encode(frame)).collect())
}

fn encode(frame: &[i16]) -> String {
    let mut mulaw = Vec::with_capacity(frame.len());
    Law::Mu.encode_into(frame, &mut mulaw);
    STANDARD.encode(mulaw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tests::tone;

    #[test]
    fn a_clip_ends_where_its_speech_ends() {
        let speech = Speech::new(&[tone(400, 600), tone(200, 0)]).expect("speech");
        let lengths: Vec<usize> = speech.clips.iter().map(Vec::len).collect();
        assert!((20..=21).contains(&lengths[0]) && (10..=11).contains(&lengths[1]), "{lengths:?}");
        assert_eq!(speech.longest(), FRAME * lengths[0] as u32);
    }

    #[test]
    fn recordings_become_messages() {
        let file = std::fs::read(antiphon_testkit::testdata("read_speech/spk1_snt1.wav")).expect("readable");
        let speech = Speech::new(&[file]).expect("speech");
        assert!((1.0..6.0).contains(&speech.longest().as_secs_f64()), "{:?}", speech.longest());
        let script = speech.script(Protocol::Realtime);
        assert_eq!(script.clips[0].len(), speech.clips[0].len());
        let message: serde_json::Value = serde_json::from_str(&script.clips[0][0]).expect("JSON");
        let audio = STANDARD.decode(message["audio"].as_str().expect("audio")).expect("base64");
        assert_eq!(audio.len(), FRAME_SAMPLES);
    }

    #[test]
    fn what_is_not_speech_is_refused_by_number() {
        assert!(matches!(Speech::new(&[] as &[Vec<u8>]), Err(LoadError::NoSpeech)));
        let silent = Speech::new(&[tone(100, 0), tone(0, 300)]);
        assert!(matches!(silent, Err(LoadError::Silent(2))), "{silent:?}");
        let noise = Speech::new(&[b"no audio".to_vec()]);
        assert!(noise.expect_err("no audio").to_string().contains("speech file 1"));
    }
}
