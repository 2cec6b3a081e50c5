//! What is heard while the agent speaks.

use std::f32::consts::TAU;

use antiphon_core::Tts;
use anyhow::Result;

use crate::stimuli::{RATE, Random, files, read, spoken, trimmed};

/// From this seed come bursts, clicks and delays.
const SEED: u64 = 18;
/// The level of speech: its loudest sample.
const SPEECH: f32 = 12_000.0;
/// How much of a recorded sentence is said over the agent.
const SAID: usize = 3 * RATE;
/// Sentences, single digits and other voices.
const SENTENCES: usize = 16;
const DIGITS: usize = 12;
const VOICES: usize = 6;
/// How loud an echo and other voices are, in decibels.
const LEVELS: [f32; 3] = [-10.0, -20.0, -30.0];
/// How late an echo is, in milliseconds.
const DELAYS: [usize; 3] = [50, 150, 400];
const LATE: usize = 1_200;
/// How much of a room is heard.
const ROOM: usize = RATE / 5;

const COMMANDS: [&str; 12] = [
    "Stop.",
    "Wait a moment.",
    "No, that's wrong.",
    "Hold on.",
    "Cancel it.",
    "Let me speak to somebody else.",
    "I have a question.",
    "Can you repeat that?",
    "Stop it please.",
    "That's not what I asked.",
    "Help.",
    "Wait.",
];
const BACKCHANNELS: [&str; 12] = [
    "Mm-hmm.",
    "Uh-huh.",
    "Yeah.",
    "Okay.",
    "Right.",
    "I see.",
    "Oh.",
    "Sure.",
    "Oh okay.",
    "Yeah yeah.",
    "Really?",
    "Hmm.",
];

/// A kind of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The caller says a sentence.
    Sentence,
    Command,
    Digit,
    Backchannel,
    /// Coughs, knocks, keys, and the given noise.
    Noise,
    Music,
    /// Somebody else speaks, more quietly.
    OtherVoice,
    /// The agent's own voice comes back.
    Echo,
    /// The same, later than echo cancellers look.
    LateEcho,
    /// The caller speaks, and the agent's own voice comes back.
    OverEcho,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Sentence,
        Self::Command,
        Self::Digit,
        Self::Backchannel,
        Self::Noise,
        Self::Music,
        Self::OtherVoice,
        Self::Echo,
        Self::LateEcho,
        Self::OverEcho,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sentence => "sentences",
            Self::Command => "commands",
            Self::Digit => "digits",
            Self::Backchannel => "back-channels",
            Self::Noise => "noise",
            Self::Music => "music",
            Self::OtherVoice => "another voice",
            Self::Echo => "own echo, 15 s",
            Self::LateEcho => "own echo, 1.2 s late",
            Self::OverEcho => "sentences over the echo",
        }
    }

    pub(crate) fn is_echo(self) -> bool {
        matches!(self, Self::Echo | Self::LateEcho)
    }

    /// Whether the agent should stop.
    pub(crate) fn stops(self) -> bool {
        matches!(self, Self::Sentence | Self::Command | Self::Digit | Self::OverEcho)
    }
}

/// A sound, and the room in which the agent is heard.
pub(crate) struct Sound {
    pub(crate) kind: Kind,
    /// Samples at 16 kHz.
    pub(crate) samples: Vec<i16>,
    /// What the room makes of one sample of the agent's voice; nothing where there is no echo.
    pub(crate) room: Vec<f32>,
    /// How many samples later that is heard.
    pub(crate) delay: usize,
}

impl Sound {
    fn new(kind: Kind, samples: Vec<i16>) -> Self {
        Self { kind, samples, room: Vec::new(), delay: 0 }
    }
}

/// All sounds. `voice` says what nobody has recorded.
pub(crate) async fn all(voice: &dyn Tts) -> Result<Vec<Sound>> {
    let mut random = Random(SEED);
    let mut all = Vec::new();
    let sentences: Vec<Vec<i16>> = files("librispeech_other")?
        .iter()
        .step_by(3)
        .take(SENTENCES)
        .filter_map(|path| Some(trimmed(&read(path).ok()?)?.0.into_iter().take(SAID).collect()))
        .collect();
    all.extend(sentences.iter().map(|said| Sound::new(Kind::Sentence, at_level(said, 0.0))));
    for path in files("digits_8k")?.iter().step_by(7).take(DIGITS) {
        let said = trimmed(&read(path)?).map(|(samples, _)| samples).unwrap_or_default();
        all.push(Sound::new(Kind::Digit, at_level(&said, 0.0)));
    }
    for (kind, texts) in [(Kind::Command, COMMANDS), (Kind::Backchannel, BACKCHANNELS)] {
        for text in texts {
            all.push(Sound::new(kind, at_level(&spoken(voice, text).await?, 0.0)));
        }
    }
    for path in files("noise")?.iter().filter(|path| path.to_string_lossy().contains("noise")) {
        let noise = read(path)?;
        let noise = &noise[..noise.len().min(SAID)];
        all.extend([-6.0, -20.0].map(|level| Sound::new(Kind::Noise, at_level(noise, level))));
    }
    for burst in 0..12 {
        all.push(Sound::new(Kind::Noise, at_level(&bursts(&mut random, burst), 0.0)));
    }
    for song in 0..6 {
        all.push(Sound::new(Kind::Music, at_level(&plucked(&mut random, song), -6.0)));
    }
    for level in [-10.0, -15.0, -20.0] {
        let voices = sentences.iter().rev().take(VOICES);
        all.extend(voices.map(|said| Sound::new(Kind::OtherVoice, at_level(said, level))));
    }
    let rooms: Vec<Vec<f32>> = files("noise")?
        .iter()
        .filter(|path| path.to_string_lossy().contains("rir"))
        .map(|path| Ok(room(&read(path)?)))
        .collect::<Result<_>>()?;
    for (at, level) in LEVELS.into_iter().enumerate() {
        for (room_at, room) in rooms.iter().enumerate() {
            let scale = 10_f32.powf(level / 20.0);
            let room: Vec<f32> = room.iter().map(|tap| tap * scale).collect();
            let echo = |kind, delay: usize, samples| Sound {
                kind,
                samples,
                room: room.clone(),
                delay: delay * RATE / 1_000,
            };
            all.extend(DELAYS.map(|delay| echo(Kind::Echo, delay, Vec::new())));
            all.push(echo(Kind::LateEcho, LATE, Vec::new()));
            let said = at_level(&sentences[at * 3 + room_at], 0.0);
            all.push(echo(Kind::OverEcho, DELAYS[(at + room_at) % DELAYS.len()], said));
        }
    }
    Ok(all)
}

/// The same so many decibels below the level of speech.
fn at_level(samples: &[i16], decibels: f32) -> Vec<i16> {
    let peak = samples.iter().map(|s| f32::from(s.unsigned_abs())).fold(1.0, f32::max);
    let scale = SPEECH * 10_f32.powf(decibels / 20.0) / peak;
    samples.iter().map(|sample| (f32::from(*sample) * scale) as i16).collect()
}

/// What a room makes of one sample, from its direct sound on: it leaves the energy of the sound as it is.
fn room(response: &[i16]) -> Vec<f32> {
    let loudest = (0..response.len()).max_by_key(|at| response[*at].unsigned_abs()).unwrap_or(0);
    let taps: Vec<f32> = response.iter().skip(loudest).take(ROOM).map(|tap| f32::from(*tap)).collect();
    let energy = taps.iter().map(|tap| tap * tap).sum::<f32>().sqrt().max(1.0);
    taps.iter().map(|tap| tap / energy).collect()
}

/// Bursts of noise: a cough (300 ms, dull), a knock (60 ms) or keys (eight clicks).
fn bursts(random: &mut Random, kind: usize) -> Vec<i16> {
    let (count, length, gap, dull) = [(2, 300, 250, 0.7), (1, 60, 0, 0.3), (8, 12, 140, 0.0)][kind % 3];
    let mut samples = Vec::new();
    for _ in 0..count {
        let (n, mut last) = (length * RATE / 1_000, 0.0);
        for at in 0..n {
            let white = random.below(20_000) as f32 - 10_000.0;
            last = dull * last + (1.0 - dull) * white;
            samples.push((last * (-4.0 * at as f32 / n as f32).exp()) as i16);
        }
        samples.resize(samples.len() + gap * RATE / 1_000, 0);
    }
    samples
}

/// Two seconds of plucked chords.
fn plucked(random: &mut Random, song: usize) -> Vec<i16> {
    let mut samples = vec![0.0_f32; 2 * RATE];
    for beat in 0..5 {
        let root = 110.0 * 2_f32.powf((random.below(12) + song as u64) as f32 / 12.0);
        for (step, harmonic) in [(0, 1.0), (4, 0.8), (7, 0.7), (12, 0.5)] {
            let hertz = root * 2_f32.powf(step as f32 / 12.0);
            for (at, sample) in samples.iter_mut().skip(beat * RATE * 2 / 5).enumerate() {
                let time = at as f32 / RATE as f32;
                *sample += harmonic * (TAU * hertz * time).sin() * (-3.0 * time).exp() * 3_000.0;
            }
        }
    }
    samples.into_iter().map(|sample| sample as i16).collect()
}
