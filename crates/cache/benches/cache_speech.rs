//! What a clause from the cache costs: `cargo bench -p antiphon-cache --bench cache_speech`. With `-- heard` after it: how
//! often a recogniser hears the same words from the cache, and how often after changes that nobody would notice.
//!
//! The speech is real: telephone prompts at 8 kHz, and read speech at 16 kHz, which is resampled for the other rates. The
//! folder of the test data is named in `ANTIPHON_TESTDATA`.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run says so")]

#[path = "../tests/support/clips.rs"]
mod clips;
#[path = "../tests/support/listening.rs"]
mod listening;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_audio::{FileFormat, decode_file, encode_file};
use antiphon_cache::{Cache, CacheOptions, CachedTts, Kind, SpeechCodec};
use antiphon_core::{AudioChunk, BoxStream, Requester, Result, SampleRate, SpeechRequest, Tts, TtsCard};
use antiphon_flow::{CpuPool, PoolBounds};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};

use clips::Clips;
use listening::{CONTROLS, Heard, Models, resample, say};

const RATES: [u32; 5] = [8_000, 16_000, 22_050, 24_000, 48_000];
const HITS: usize = 5_000;
const ROUNDS: usize = 5;
/// Recordings at each rate.
const CLAUSES: usize = 24;
const LONGEST: Duration = Duration::from_mins(2);
/// What Piper says to the recogniser: telephone prompts, and questions of a bank's customers.
const SENTENCES: usize = 200;
/// A rate of voices that is not [`RATES`]'s, so that Opus codes at another.
const ANOTHER: u32 = 32_000;

fn main() {
    let data = antiphon_testkit::large_testdata();
    if std::env::args().any(|argument| argument == "heard") {
        hearing(&data);
    } else {
        costs(&data);
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn costs(data: &Path) {
    println!("  rate  clauses  seconds   of WAV: all  most    encode x real time   decode x real time");
    let mut clauses = Vec::new();
    for hz in RATES {
        let rate = SampleRate::new(hz).expect("a rate");
        let said: Vec<_> = recordings(data, rate).take(CLAUSES).collect();
        let seconds: f64 = said.iter().map(|audio| audio.duration().as_secs_f64()).sum();
        let kept: Vec<Bytes> = said.iter().map(encode).collect();
        let shares = said.iter().zip(&kept).map(|(audio, kept)| kept.len() as f64 / wav(audio) as f64);
        let most = shares.fold(0.0, f64::max);
        let all =
            kept.iter().map(Bytes::len).sum::<usize>() as f64 / said.iter().map(wav).sum::<usize>() as f64;
        let encoding = best(|| said.iter().for_each(|audio| _ = black_box(encode(audio))));
        let decoding = best(|| kept.iter().for_each(|kept| _ = black_box(decode(kept))));
        println!(
            "{hz:6}  {:7}  {seconds:7.1}  {:11.1} % {:4.1} %  {:10.1} ms/s {:4.0}  {:12.2} ms/s {:4.0}",
            said.len(),
            100.0 * all,
            100.0 * most,
            encoding / seconds * 1e3,
            seconds / encoding,
            decoding / seconds * 1e3,
            seconds / decoding,
        );
        clauses.push(said.into_iter().next().expect("a recording"));
    }
    println!();
    println!("from speak() to the first chunk on a hit in memory      p50       p99");
    for audio in clauses {
        let hz = audio.rate.hz();
        let [alike, mixed] = hits(audio);
        println!("{hz:6}  after a clip of this rate {:20.1} {:9.1} us", alike[0], alike[1]);
        println!("{hz:6}  after one of {ANOTHER} Hz {:24.1} {:9.1} us", mixed[0], mixed[1]);
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn hearing(data: &Path) {
    let models = Models::open();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let listen = |audio: AudioChunk| runtime.block_on(models.listen(&audio, &read(&encode(&audio))));
    print!("heard with the same words    clauses");
    for name in CONTROLS.iter().map(|control| control.name).chain(["kept"]) {
        print!("  {name:>12}");
    }
    println!();
    let said = sentences(data).into_iter().map(|text| runtime.block_on(say(&*models.voice, &text)));
    print_heard("Piper", 22_050, &said.map(listen).collect::<Vec<_>>());
    for hz in RATES.into_iter().filter(|hz| *hz != 22_050) {
        let name = if hz == 8_000 { "telephone prompts" } else { "read speech" };
        let said = recordings(data, SampleRate::new(hz).expect("a rate"));
        print_heard(name, hz, &said.map(listen).collect::<Vec<_>>());
    }
}

/// How many of all clauses have the same words after each change, and how many of those that no other control changes.
#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn print_heard(name: &str, hz: u32, heard: &[Heard]) {
    let clauses: Vec<_> = heard.iter().map(|heard| [&heard.same[..], &[heard.is_kept()]].concat()).collect();
    print!("{name:17}  {hz:5} Hz  {:9}", clauses.len());
    for change in 0..=CONTROLS.len() {
        let same = clauses.iter().filter(|same| same[change]).count();
        print!("  {:10.1} %", 100.0 * same as f64 / clauses.len() as f64);
    }
    print!("\n  that no other control changes     ");
    for change in 0..=CONTROLS.len() {
        let no_other =
            |same: &&Vec<bool>| (0..CONTROLS.len()).all(|control| control == change || same[control]);
        let of = clauses.iter().filter(no_other).count();
        let same = clauses.iter().filter(no_other).filter(|same| same[change]).count();
        print!("  {:>12}", format!("{same} of {of}"));
    }
    println!();
}

fn sentences(data: &Path) -> Vec<String> {
    let file = |name: &str| std::fs::read_to_string(data.join(name)).expect("test data");
    let prompts = file("telephone_speech/transcripts.tsv");
    let prompts = prompts.lines().filter_map(|line| Some(line.split_once('\t')?.1.to_owned()));
    let questions = file("banking_questions/questions.csv");
    // Quoted texts contain commas or line ends, so they are skipped.
    let questions = questions.lines().skip(1).filter(|line| !line.contains('"'));
    let questions = questions.filter_map(|line| Some(line.split_once(',')?.0.to_owned()));
    prompts.chain(questions).take(SENTENCES).collect()
}

/// Clauses cut out of real speech.
fn recordings(data: &Path, rate: SampleRate) -> impl Iterator<Item = AudioChunk> {
    let folder =
        data.join(if rate == SampleRate::HZ_8000 { "telephone_speech" } else { "librispeech_other" });
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("test data")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "wav" || ending == "flac"))
        .collect();
    paths.sort();
    let read = move |path: PathBuf| {
        let file = std::fs::read(path).expect("readable");
        resample(&decode_file(&file, LONGEST).expect("a recording"), rate)
    };
    paths.into_iter().map(read)
}

fn wav(audio: &AudioChunk) -> usize {
    encode_file(FileFormat::Wav, audio).expect("written").len()
}

fn encode(audio: &AudioChunk) -> Bytes {
    Clips.encode(audio.rate, &audio.samples).expect("written").into()
}

/// The number of samples in a clip.
fn decode(kept: &Bytes) -> usize {
    chunks(kept).map(|chunk| chunk.samples.len()).sum()
}

fn chunks(kept: &Bytes) -> impl Iterator<Item = AudioChunk> {
    Clips.decode(kept.clone()).expect("a clip").map(|chunk| chunk.expect("whole"))
}

/// Reads a whole clip.
fn read(kept: &Bytes) -> AudioChunk {
    let chunks: Vec<AudioChunk> = chunks(kept).collect();
    AudioChunk::new(
        chunks[0].rate,
        chunks.iter().flat_map(|chunk| chunk.samples.to_vec()).collect::<Vec<_>>(),
    )
}

/// The seconds of the fastest round, which other work on the machine disturbs least.
fn best(mut round: impl FnMut()) -> f64 {
    let time = |_| {
        let began = Instant::now();
        round();
        began.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(time).fold(f64::INFINITY, f64::min)
}

/// A voice that always says the same.
struct Parrot(AudioChunk);

impl Tts for Parrot {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "parrot", voices: &[] }
    }

    fn speak(&self, _: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        stream::iter([Ok(self.0.clone())]).boxed()
    }
}

/// Microseconds, the median and the 99th percentile, after a clip of the same rate and after one of [`ANOTHER`].
fn hits(audio: AudioChunk) -> [[f64; 2]; 2] {
    let another = encode(&resample(&audio, SampleRate::new(ANOTHER).expect("a rate")));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let options = CacheOptions { kind: Kind::Speech, max_bytes: 1 << 24, ttl: Duration::from_hours(1) };
    let cache = Arc::new(Cache::new(options, Vec::new(), Arc::new(|| 0)));
    let bounds = PoolBounds { min: 1, max: 1 };
    let cpu_pool = Arc::new(CpuPool::new(bounds).expect("threads"));
    let parrot = Arc::new(Parrot(audio));
    let cached = CachedTts::new(parrot, "parrot".to_owned(), cache.clone(), Arc::new(Clips), cpu_pool);
    let clause =
        || SpeechRequest::new(Requester::local(), "I can help you with that, let me just look it up.");
    runtime.block_on(async {
        cached.speak(clause()).collect::<Vec<_>>().await;
        while cache.counts().stored == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let hit = || {
        let request = clause();
        let began = Instant::now();
        let chunk = cached.speak(request).next().now_or_never();
        let span = began.elapsed().as_secs_f64() * 1e6;
        assert!(black_box(chunk).is_some(), "a hit");
        span
    };
    let mut spans = [Vec::new(), Vec::new()];
    for _ in 0..HITS {
        spans[0].push(hit());
        black_box(chunks(&another).next());
        spans[1].push(hit());
    }
    spans.map(|mut spans| {
        spans.sort_by(f64::total_cmp);
        [0.5, 0.99].map(|share| spans[(share * HITS as f64) as usize])
    })
}
