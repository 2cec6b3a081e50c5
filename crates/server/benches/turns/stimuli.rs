//! What people say in the measurement: turns with pauses in them, of which it is known when they are over.
//!
//! Recordings are taken as they are: a pause in one is where its speaker went on. Numbers are put together from single spoken digits,
//! dictation and hesitation from phrases of the embedded voice, with pauses whose lengths a seed decides. So the ruler stays the same
//! while what it measures changes; only the embedded voice sounds a little different each time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use antiphon_audio::{Law, Resampler, decode_file};
use antiphon_core::{AudioChunk, Requester, SampleRate, SpeechRequest, Tts};
use antiphon_testkit::large_testdata;
use anyhow::{Context, Result};
use futures_util::TryStreamExt;

/// Samples a second.
pub(crate) const RATE: usize = 16_000;
/// Loudness is judged over 20 ms.
const FRAME: usize = 320;
/// A shorter stretch of silence is part of a word.
const SHORTEST_PAUSE: usize = RATE / 5;
/// Longer recordings are left out: a turn of somebody who speaks to an agent is shorter.
const LONGEST: usize = 20 * RATE;
/// From this seed come the lengths of made pauses and the digits of made numbers.
const SEED: u64 = 17;
/// How many numbers each speaker says.
const NUMBERS: usize = 6;
/// Silence between the digits of a group, and between groups, in milliseconds: people who say a telephone number.
const BETWEEN_DIGITS: Range<u64> = 40..120;
const BETWEEN_GROUPS: Range<u64> = 350..900;
/// Silence between dictated phrases, and after a hesitation, in milliseconds.
const DICTATED: Range<u64> = 450..1_400;
const HESITATED: Range<u64> = 300..1_000;

/// Dictated phrases, with `|` where whoever dictates waits.
const DICTATION: [&str; 12] = [
    "My address is | twelve Baker Street | in Springfield.",
    "Please write down | milk and butter | two loaves of bread | and a dozen eggs.",
    "The message is | I will be home late | please feed the cat.",
    "Send it to | John Miller | at the office in Denver.",
    "The delivery goes to | forty one Orchard Road | second floor.",
    "Dear Anna | thank you for your letter | I was very glad to read it.",
    "Note that | the meeting moved to Thursday | at half past nine | in the small room.",
    "My email is | anna dot miller | at example dot com.",
    "It is spelled | M A R | T I N | E Z.",
    "My date of birth is | the third of May | nineteen eighty four.",
    "The model is | A X three hundred | with the long cable.",
    "Remind me | to call the dentist | on Monday morning.",
];
/// Sentences in which somebody hesitates, with `|` where they are silent.
const HESITATION: [&str; 12] = [
    "I would like to, um, | book a table for four.",
    "Can you tell me | when the, uh, | the next train leaves?",
    "I think | I need to change my, um, | my password.",
    "So the problem is | that my card | doesn't work any more.",
    "Well, | it started last week, and | now it is getting worse.",
    "I wanted to ask | whether you could | send me a copy.",
    "Let me think, | maybe | on Tuesday afternoon.",
    "My order number is, uh, | wait a second, | it is in the mail.",
    "We are looking for | something with | two bedrooms and a garden.",
    "If it rains tomorrow | then | we will stay at home.",
    "Because | I already paid for it | I don't want to pay again.",
    "Yes, but | I am not sure | that it is the right size.",
];
/// Short answers, which are whole.
const SHORT: [&str; 16] = [
    "Yes.",
    "No, thank you.",
    "Yes, please.",
    "That's right.",
    "What time is it?",
    "Turn on the light.",
    "On Monday.",
    "Two tickets.",
    "I don't know.",
    "How much is it?",
    "The blue one.",
    "Tell me a joke.",
    "Good morning.",
    "Stop.",
    "Not today.",
    "Call my wife.",
];

/// A kind of turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// Read speech, with the pauses of its readers.
    Read,
    /// Announcements of a telephone system. Nothing is trained on them.
    Prompts,
    /// Telephone numbers in groups of three, three and four digits.
    Numbers,
    Dictation,
    Hesitation,
    /// Short answers without a pause.
    Short,
}

impl Group {
    pub(crate) const ALL: [Self; 6] =
        [Self::Read, Self::Prompts, Self::Numbers, Self::Dictation, Self::Hesitation, Self::Short];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "read speech",
            Self::Prompts => "telephone prompts",
            Self::Numbers => "numbers 3-3-4",
            Self::Dictation => "dictation",
            Self::Hesitation => "hesitation",
            Self::Short => "short answers",
        }
    }
}

/// One turn.
pub(crate) struct Stimulus {
    pub(crate) group: Group,
    /// Turns of one speaker are alike, so that nothing may be trained on one and shown on another.
    pub(crate) speaker: String,
    /// Samples at 16 kHz, which end where the speech does.
    pub(crate) samples: Vec<i16>,
    /// Where the speaker pauses and goes on, in samples.
    pub(crate) pauses: Vec<Range<usize>>,
}

impl Stimulus {
    fn new(group: Group, speaker: &str, samples: &[i16]) -> Option<Self> {
        let (samples, pauses) = trimmed(samples)?;
        let speaker = speaker.to_owned();
        (samples.len() <= LONGEST).then_some(Self { group, speaker, samples, pauses })
    }

    /// The same as it comes out of a telephone: 8 kHz, mu-law.
    pub(crate) fn by_telephone(&self) -> Self {
        let (mut narrow, mut bytes, mut coded, mut samples) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut down = Resampler::new(SampleRate::HZ_16000, SampleRate::HZ_8000);
        down.process(&self.samples, &mut narrow);
        down.flush(&mut narrow);
        Law::Mu.encode_into(&narrow, &mut bytes);
        Law::Mu.decode_into(&bytes, &mut coded);
        let mut up = Resampler::new(SampleRate::HZ_8000, SampleRate::HZ_16000);
        up.process(&coded, &mut samples);
        up.flush(&mut samples);
        samples.truncate(self.samples.len());
        Self { group: self.group, speaker: self.speaker.clone(), samples, pauses: self.pauses.clone() }
    }
}

/// All turns. `voice` speaks what nobody has recorded.
pub(crate) async fn all(voice: &dyn Tts) -> Result<Vec<Stimulus>> {
    let mut random = Random(SEED);
    let mut all = recordings("librispeech_other", Group::Read, |name| {
        name.split('-').next().unwrap_or(name).to_owned()
    })?;
    all.extend(recordings("read_speech", Group::Read, |name| {
        name.split('_').next().unwrap_or(name).to_owned()
    })?);
    all.extend(recordings("telephone_speech", Group::Prompts, |_| "prompts".to_owned())?);
    // A recording without a pause says nothing about pauses.
    all.retain(|stimulus| !stimulus.pauses.is_empty());
    all.extend(numbers(&mut random)?);
    for (group, texts, silence) in
        [(Group::Dictation, DICTATION, DICTATED), (Group::Hesitation, HESITATION, HESITATED)]
    {
        for text in texts {
            let mut phrases = Vec::new();
            for phrase in text.split('|') {
                phrases.push(spoken(voice, phrase.trim()).await?);
            }
            let samples = joined(&phrases, |_| random.samples(&silence));
            all.extend(Stimulus::new(group, "voice", &samples));
        }
    }
    for text in SHORT {
        let mut stimulus = Stimulus::new(Group::Short, "voice", &spoken(voice, text).await?).context(text)?;
        stimulus.pauses.clear();
        all.push(stimulus);
    }
    Ok(all)
}

/// The recordings of a folder of the test data, with who speaks in each.
fn recordings(folder: &str, group: Group, speaker: impl Fn(&str) -> String) -> Result<Vec<Stimulus>> {
    let mut all = Vec::new();
    for path in files(folder)? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        all.extend(Stimulus::new(group, &speaker(&name), &read(&path)?));
    }
    Ok(all)
}

/// Telephone numbers, of single digits that the same person has spoken.
fn numbers(random: &mut Random) -> Result<Vec<Stimulus>> {
    let mut digits = BTreeMap::<String, BTreeMap<u64, Vec<Vec<i16>>>>::new();
    for path in files("digits_8k")? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let [digit, speaker, _] = name.split('_').collect::<Vec<_>>()[..] else { continue };
        let Some((samples, _)) = trimmed(&read(&path)?) else { continue };
        digits.entry(speaker.to_owned()).or_default().entry(digit.parse()?).or_default().push(samples);
    }
    let mut all = Vec::new();
    for (speaker, digits) in &digits {
        for _ in 0..NUMBERS {
            let takes: Vec<&Vec<Vec<i16>>> = (0..10).filter_map(|_| digits.get(&random.below(10))).collect();
            let said: Vec<Vec<i16>> =
                takes.iter().map(|takes| takes[random.below(takes.len() as u64) as usize].clone()).collect();
            let samples = joined(&said, |after| {
                random.samples(if after == 2 || after == 5 { &BETWEEN_GROUPS } else { &BETWEEN_DIGITS })
            });
            all.extend(Stimulus::new(Group::Numbers, speaker, &samples));
        }
    }
    Ok(all)
}

/// The pieces one after the other. `silence`: how many samples of it follow the piece with this number.
fn joined(pieces: &[Vec<i16>], mut silence: impl FnMut(usize) -> usize) -> Vec<i16> {
    let mut samples = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        samples.extend_from_slice(piece);
        if at + 1 < pieces.len() {
            samples.resize(samples.len() + silence(at), 0);
        }
    }
    samples
}

/// Speech without the silence around it.
pub(crate) async fn spoken(voice: &dyn Tts, text: &str) -> Result<Vec<i16>> {
    let chunks: Vec<AudioChunk> =
        voice.speak(SpeechRequest::new(Requester::local(), text.to_owned())).try_collect().await?;
    let rate = chunks.first().context("nothing was said")?.rate;
    let samples: Vec<i16> = chunks.iter().flat_map(|chunk| chunk.samples.iter().copied()).collect();
    Ok(trimmed(&at_16_khz(rate, &samples)).context("only silence was said")?.0)
}

pub(crate) fn files(folder: &str) -> Result<Vec<PathBuf>> {
    let folder = large_testdata().join(folder);
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let is_audio = |path: &PathBuf| path.extension().is_some_and(|e| e == "wav" || e == "flac");
    let mut files: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_audio).collect();
    files.sort();
    Ok(files)
}

pub(crate) fn read(path: &Path) -> Result<Vec<i16>> {
    let audio = decode_file(&std::fs::read(path)?, Duration::from_mins(10))?;
    Ok(at_16_khz(audio.rate, &audio.samples))
}

fn at_16_khz(rate: SampleRate, samples: &[i16]) -> Vec<i16> {
    let mut resampled = Vec::new();
    let mut resampler = Resampler::new(rate, SampleRate::HZ_16000);
    resampler.process(samples, &mut resampled);
    resampler.flush(&mut resampled);
    resampled
}

/// The speech without the silence around it, and the pauses in it. Silent is what stays below a fortieth of the peak, or below three times
/// what the quietest tenth of a recording has.
pub(crate) fn trimmed(samples: &[i16]) -> Option<(Vec<i16>, Vec<Range<usize>>)> {
    let peaks: Vec<u16> = samples
        .chunks_exact(FRAME)
        .map(|frame| frame.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0))
        .collect();
    let mut sorted = peaks.clone();
    sorted.sort_unstable();
    let floor = *sorted.get(sorted.len() / 10)?;
    let limit = (sorted.last()? / 40).max(floor.saturating_mul(3)).min(sorted.last()? / 8);
    let loud: Vec<usize> = (0..peaks.len()).filter(|at| peaks[*at] > limit).collect();
    let (first, last) = (*loud.first()?, *loud.last()?);
    let between = loud.windows(2).map(|pair| (pair[0] + 1 - first) * FRAME..(pair[1] - first) * FRAME);
    let pauses = between.filter(|pause| pause.len() >= SHORTEST_PAUSE).collect();
    Some((samples[first * FRAME..(last + 1) * FRAME].to_vec(), pauses))
}

/// Numbers that only depend on the seed (splitmix64, Steele et al. 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// A length within so many milliseconds, in samples.
    fn samples(&mut self, milliseconds: &Range<u64>) -> usize {
        (milliseconds.start + self.below(milliseconds.end - milliseconds.start)) as usize * RATE / 1_000
    }
}
