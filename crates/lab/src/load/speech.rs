//! The questions that callers ask, prepared as messages.

use std::time::Duration;

use antiphon_audio::{Law, Resampler, decode_file};
use antiphon_core::FRAME;
use antiphon_core::SampleRate;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::LoadError;
use super::noise::comfort_noise;
use super::wire::Protocol;

/// Share of the time in which one party of a telephone conversation speaks, in talk spurts of 1.0 s and pauses of 1.6 s on average:
/// ITU-T P.59 (03/93), table 1, the mean of English, Italian and Japanese.
pub const SPEECH_SHARE: f64 = 0.3853;
/// Length of the longest question.
const LONGEST: Duration = Duration::from_mins(1);
/// Samples of a frame at 8 kHz.
const FRAME_SAMPLES: usize = SampleRate::HZ_8000.samples_in(FRAME);
/// Number of different frames of noise that callers send between questions: one second of them.
const NOISE_FRAMES: usize = 50;
/// Speech begins and ends with the first and the last frame whose peak is above one part in so many of the loudest sample.
const QUIET: u16 = 50;

/// Spoken questions as mu-law at 8 kHz, cut to where speech begins and ends.
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

    /// Mean length of a question. Short pauses within it count as speech.
    pub fn mean(&self) -> Duration {
        let frames: usize = self.clips.iter().map(Vec::len).sum();
        FRAME * frames as u32 / self.clips.len() as u32
    }

    /// How often a caller has to ask, in seconds from one question to the next, to speak this `share` of the time, such as
    /// [`SPEECH_SHARE`].
    pub fn period_s(&self, share: f64) -> f64 {
        self.mean().as_secs_f64() / share
    }

    /// Every message a caller sends while it speaks or does not.
    pub(super) fn script(&self, protocol: Protocol) -> Script {
        let message = |payload: &String| protocol.media(payload);
        let noise = comfort_noise(FRAME_SAMPLES * NOISE_FRAMES);
        Script {
            clips: self.clips.iter().map(|clip| clip.iter().map(message).collect()).collect(),
            noise: noise.chunks_exact(FRAME_SAMPLES).map(|frame| protocol.media(&encode(frame))).collect(),
        }
    }
}

/// The questions as finished messages of 20 ms each.
pub(super) struct Script {
    /// The questions: at least one, and none of them is empty.
    pub(super) clips: Vec<Vec<Utf8Bytes>>,
    /// What is sent between the questions, over and over; never empty.
    pub(super) noise: Vec<Utf8Bytes>,
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
    let (first, last) =
        frames.iter().position(loud).zip(frames.iter().rposition(loud)).ok_or(LoadError::Silent(number))?;
    Ok(frames[first..=last].iter().map(|frame| encode(frame)).collect())
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
    fn a_clip_begins_and_ends_where_its_speech_does() {
        let speech = Speech::new(&[tone(0, 400, 600), tone(300, 200, 0)]).expect("speech");
        let lengths: Vec<usize> = speech.clips.iter().map(Vec::len).collect();
        assert!((20..=22).contains(&lengths[0]) && (10..=12).contains(&lengths[1]), "{lengths:?}");
        let mean_s = speech.mean().as_secs_f64();
        assert!((0.3..0.35).contains(&mean_s), "{mean_s}");
        assert!((speech.period_s(SPEECH_SHARE) - mean_s / 0.3853).abs() < 1e-9);
    }

    #[test]
    fn callers_send_noise_that_does_not_repeat_at_once() {
        let script = Speech::new(&[tone(0, 100, 0)]).expect("speech").script(Protocol::Twilio);
        assert_eq!(script.noise.len(), NOISE_FRAMES);
        assert!(script.noise.windows(2).all(|two| two[0] != two[1]));
        assert_eq!(script.noise[0].len(), script.clips[0][0].len());
    }

    #[test]
    fn recordings_become_messages() {
        let file = std::fs::read(antiphon_testkit::testdata("read_speech/spk1_snt1.wav")).expect("readable");
        let speech = Speech::new(&[file]).expect("speech");
        assert!((1.0..6.0).contains(&speech.mean().as_secs_f64()), "{:?}", speech.mean());
        let script = speech.script(Protocol::Realtime);
        assert_eq!(script.clips[0].len(), speech.clips[0].len());
        let message: serde_json::Value = serde_json::from_str(&script.clips[0][0]).expect("JSON");
        let audio = STANDARD.decode(message["audio"].as_str().expect("audio")).expect("base64");
        assert_eq!(audio.len(), FRAME_SAMPLES);
    }

    #[test]
    fn what_is_not_speech_is_refused_by_number() {
        assert!(matches!(Speech::new(&[] as &[Vec<u8>]), Err(LoadError::NoSpeech)));
        let silent = Speech::new(&[tone(0, 100, 0), tone(300, 0, 0)]);
        assert!(matches!(silent, Err(LoadError::Silent(2))), "{silent:?}");
        let noise = Speech::new(&[b"no audio".to_vec()]);
        assert!(noise.expect_err("no audio").to_string().contains("speech file 1"));
    }
}
