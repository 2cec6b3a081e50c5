//! Takes the agent's own voice, which comes back through a room or a line, out of what is heard.
//!
//! The agent knows every sample it has sent. AEC3, the echo canceller of WebRTC (here `sonora`, its port to Rust), finds when and how that
//! comes back, and subtracts it, so that a person who speaks over the echo is still heard. On one core of an
//! Intel Xeon it cost 6 ms for each second of audio, and 370 KiB a call, so it works only while the agent speaks and the line is not silent.
//! What is heard on a line without an echo, and all that is heard while the agent listens, passes unchanged.

use std::collections::VecDeque;

use antiphon_audio::Resampler;
use antiphon_core::{MediaTime, SampleRate};
use sonora::config::EchoCanceller;
use sonora::{AudioProcessing, Config, StreamConfig};

const RATE: SampleRate = SampleRate::HZ_16000;
/// The canceller takes 10 ms at a time.
const BLOCK: usize = 160;
/// How long an echo may last after the agent has stopped: the longest delay that the canceller finds, and the end of the room's sound.
const ECHOES_FOR: u64 = 9_600;
/// A line whose loudest sample is below this is silent: 54 dB below full scale, where nothing is taken for speech.
const SILENT: u16 = 64;
/// A pause in an echo, in blocks: half a second.
const PAUSE: usize = 50;
/// Where the line is silent while the agent sounds for so many blocks, it does not echo: whatever is heard then is the person, and passes at
/// once. A canceller that has just begun would dampen it.
const CLEAN_AFTER: usize = 60;
/// The agent sounds where its loudest sample is above this: an echo 36 dB weaker would not be silent.
const SOUNDS: u16 = 4_096;
/// Most audio of the agent that is kept until it is played, 10 s: clients that play it themselves get it faster. The echo of what is sent
/// beyond that stays.
const MOST_SENT: usize = 10 * 16_000;
/// What was sent follows on what was sent before, though the clock may be off by so many samples: 40 ms.
const OFF: u64 = 640;

/// The agent's voice, as it is played, and what was heard.
pub(crate) struct Echo {
    /// Opened when it is needed first.
    canceller: Option<Box<AudioProcessing>>,
    /// What the agent plays, at 16 kHz.
    played: VecDeque<i16>,
    /// At which sample of what is heard the first of these is played.
    from: u64,
    resampler: Option<(SampleRate, Resampler)>,
    /// What was heard and fills no block yet.
    rest: Vec<i16>,
    /// Blocks since the line was not silent.
    silent: usize,
    /// Blocks for which the agent has sounded, since it began to speak, without a sound on the line.
    clean: usize,
}

impl Default for Echo {
    fn default() -> Self {
        Self {
            canceller: None,
            played: VecDeque::new(),
            from: 0,
            resampler: None,
            rest: Vec::new(),
            silent: PAUSE,
            clean: 0,
        }
    }
}

impl Echo {
    /// The agent has sent samples, which are played at this position of what is heard.
    pub(crate) fn sent(&mut self, samples: &[i16], rate: SampleRate, at: MediaTime) {
        let at = position(at);
        if !self.plays_on_at(at) {
            return;
        }
        if rate == RATE {
            self.played.extend(samples);
        } else {
            let last = self.resampler.take().filter(|(from, _)| *from == rate);
            let (from, mut resampler) = last.unwrap_or_else(|| (rate, Resampler::new(rate, RATE)));
            let mut resampled = Vec::with_capacity(2 * samples.len() + 8);
            resampler.process(samples, &mut resampled);
            self.played.extend(&resampled);
            self.resampler = Some((from, resampler));
        }
        self.played.truncate(MOST_SENT);
    }

    /// Whether the line did not echo what the agent has said last.
    pub(crate) fn is_clean(&self) -> bool {
        self.clean >= CLEAN_AFTER
    }

    /// The agent has stopped: what would be played from this position on never will be.
    pub(crate) fn stopped(&mut self, at: MediaTime) {
        let kept = position(at).saturating_sub(self.from);
        self.played.truncate(kept as usize);
    }

    /// Takes the agent's voice out of what was heard from this position on. A few samples may be kept until the next time.
    pub(crate) fn cancel(&mut self, heard: &mut Vec<i16>, at: MediaTime) {
        let mut at = position(at);
        if self.end() == 0 || at > self.end() + ECHOES_FOR {
            // The agent listens.
            heard.splice(..0, self.rest.drain(..));
            self.played.clear();
            return;
        }
        self.rest.append(heard);
        let whole = self.rest.len() - self.rest.len() % BLOCK;
        for block in self.rest[..whole].chunks_exact(BLOCK) {
            let mut played = [0; BLOCK];
            for (sample, at) in played.iter_mut().zip(at..) {
                *sample = at
                    .checked_sub(self.from)
                    .and_then(|at| self.played.get(at as usize))
                    .copied()
                    .unwrap_or(0);
            }
            let is_silent = block.iter().all(|sample| sample.unsigned_abs() < SILENT);
            self.silent = if is_silent { self.silent + 1 } else { 0 };
            if !self.is_clean() {
                let sounds = played.iter().any(|sample| sample.unsigned_abs() >= SOUNDS);
                self.clean = if is_silent { self.clean + usize::from(sounds) } else { 0 };
            }
            if self.is_clean() || self.silent > PAUSE {
                heard.extend_from_slice(block);
            } else {
                heard.extend(cancelled(&mut self.canceller, &played, block));
            }
            at += BLOCK as u64;
        }
        self.rest.drain(..whole);
        self.forget(at.saturating_sub(self.from) as usize);
    }

    /// The position after the last sample that is played.
    fn end(&self) -> u64 {
        self.from + self.played.len() as u64
    }

    /// Sees to it that what is sent next is played at this position; false where so much is kept that it cannot be.
    fn plays_on_at(&mut self, at: u64) -> bool {
        if self.played.is_empty() || at < self.from {
            if at > self.end() + ECHOES_FOR {
                // It begins to speak.
                self.clean = 0;
            }
            self.played.clear();
            self.from = at;
        } else if at > self.end() + OFF {
            let until = at.min(self.from + MOST_SENT as u64);
            self.played.resize((until - self.from) as usize, 0);
        } else if at + OFF < self.end() {
            // What had been sent was taken back.
            self.played.truncate((at - self.from) as usize);
        }
        at.abs_diff(self.end()) <= OFF && self.played.len() < MOST_SENT
    }

    fn forget(&mut self, samples: usize) {
        let gone = samples.min(self.played.len());
        self.played.drain(..gone);
        self.from += gone as u64;
    }
}

/// A block of what was heard, without the agent's voice.
fn cancelled(
    canceller: &mut Option<Box<AudioProcessing>>,
    played: &[i16; BLOCK],
    heard: &[i16],
) -> [i16; BLOCK] {
    let canceller = canceller.get_or_insert_with(|| {
        let stream = StreamConfig::new(RATE.hz(), 1);
        let config = Config { echo_canceller: Some(EchoCanceller::default()), ..Config::default() };
        Box::new(
            AudioProcessing::builder().config(config).capture_config(stream).render_config(stream).build(),
        )
    });
    let mut output = [0; BLOCK];
    let taken = canceller.process_render_i16(played, &mut output);
    match taken.and_then(|()| canceller.process_capture_i16(heard, &mut output)) {
        Ok(()) => output,
        // Blocks of another length alone are refused.
        Err(_) => std::array::from_fn(|at| heard[at]),
    }
}

fn position(at: MediaTime) -> u64 {
    RATE.samples_in(at.as_duration()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: usize = 320;

    /// So many seconds of a recorded voice.
    fn voice(name: &str, seconds: usize) -> Vec<i16> {
        let clip = antiphon_testkit::wav16(&format!("read_speech/{name}.wav"));
        clip.iter().copied().cycle().take(seconds * 16_000).collect()
    }

    fn level(samples: &[i16]) -> f64 {
        let power = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64;
        10.0 * (power + 1.0).log10()
    }

    /// Lets the agent speak, with its voice coming back after so many samples at a third of its level; gives what is left of what is heard.
    fn call(agent: &[i16], person: &[i16], delay: usize) -> (Vec<i16>, Vec<i16>) {
        let (mut echo, mut heard, mut left) = (Echo::default(), Vec::new(), Vec::new());
        for at in (0..agent.len()).step_by(FRAME) {
            let position = MediaTime::from_samples(at as u64, RATE);
            echo.sent(&agent[at..at + FRAME], RATE, position);
            let mut frame: Vec<i16> = (at..at + FRAME)
                .map(|at| {
                    at.checked_sub(delay).map_or(0, |at| agent[at] / 3) + person.get(at).copied().unwrap_or(0)
                })
                .collect();
            heard.extend(&frame);
            echo.cancel(&mut frame, position);
            left.extend(frame);
        }
        (heard, left)
    }

    #[test]
    fn its_own_voice_is_taken_out_and_that_of_the_person_stays() {
        let agent = voice("spk1_snt1", 8);
        for delay in [800, 3_200, 6_400] {
            let (heard, left) = call(&agent, &[], delay);
            let last = heard.len() - 32_000..heard.len();
            let taken = level(&heard[last.clone()]) - level(&left[last]);
            assert!(taken > 20.0, "{taken} dB at a delay of {delay} samples");
        }
        let mut person = vec![0; 6 * 16_000];
        person.extend(voice("two_cities", 2));
        let (heard, left) = call(&agent, &person, 1_600);
        let last = heard.len() - 32_000..heard.len();
        let kept = level(&person[person.len() - 32_000..]) - level(&left[last]);
        assert!(kept < 12.0, "{kept} dB of the person are gone");
    }

    #[test]
    fn what_is_heard_while_the_agent_listens_is_unchanged_and_nothing_is_lost() {
        let mut echo = Echo::default();
        let said = voice("two_cities", 3);
        let mut out = Vec::new();
        let mut at = 0;
        for piece in said.chunks(333) {
            if at == 0 {
                echo.sent(&voice("spk1_snt1", 1), RATE, MediaTime::ZERO);
            }
            let mut piece = piece.to_vec();
            echo.cancel(&mut piece, MediaTime::from_samples(at, RATE));
            at += piece.len() as u64;
            out.extend(piece);
        }
        assert!(said.len() - out.len() < BLOCK, "{} of {}", out.len(), said.len());
        let tail = said.len() - 16_000;
        assert_eq!(out[tail..], said[tail..out.len()]);
        assert!(echo.played.is_empty() && echo.end() <= at);
    }

    #[test]
    fn whoever_speaks_on_a_line_without_an_echo_is_heard_unchanged() {
        let mut echo = Echo::default();
        // Synthetic voices are louder than this recording.
        let agent: Vec<i16> = voice("spk1_snt1", 3).iter().map(|sample| sample.saturating_mul(8)).collect();
        let person = voice("two_cities", 3);
        for at in (0..agent.len()).step_by(FRAME) {
            let position = MediaTime::from_samples(at as u64, RATE);
            echo.sent(&agent[at..at + FRAME], RATE, position);
            let mut frame = if at < 24_000 { vec![0; FRAME] } else { person[at..at + FRAME].to_vec() };
            let heard = frame.clone();
            echo.cancel(&mut frame, position);
            assert_eq!(frame, heard, "at {at}");
        }
        assert!(echo.canceller.is_none() && echo.is_clean());
        echo.sent(&agent, RATE, MediaTime::from_millis(9_000));
        assert!(!echo.is_clean(), "it is found out anew for each reply");
    }

    #[test]
    fn what_an_interrupted_agent_would_have_said_is_not_expected() {
        let mut echo = Echo::default();
        echo.sent(&voice("spk1_snt1", 1), RATE, MediaTime::ZERO);
        echo.stopped(MediaTime::from_millis(300));
        assert_eq!(echo.end(), 4_800);
        echo.sent(&voice("spk1_snt2", 1), RATE, MediaTime::from_millis(500));
        assert_eq!((echo.from, echo.end()), (0, 8_000 + 16_000), "with silence between");
        echo.sent(&voice("spk1_snt2", 9), RATE, MediaTime::from_millis(1_500));
        assert_eq!(echo.played.len(), MOST_SENT, "no more is kept");
        echo.sent(&voice("spk1_snt2", 1), RATE, MediaTime::from_millis(60_000));
        assert_eq!((echo.from, echo.played.len()), (0, MOST_SENT), "and what is still to be played stays");
        echo.cancel(&mut vec![0; FRAME], MediaTime::from_millis(59_000));
        echo.sent(&voice("spk1_snt2", 1), RATE, MediaTime::from_millis(60_000));
        assert_eq!((echo.from, echo.end()), (16 * 60_000, 16 * 61_000), "long after that");
    }
}
