use antiphon_core::{AudioChunk, Requester, SampleRate, SpeechRequest, Tts, TtsCard};

use super::*;

const TTS: AnswerBounds =
    AnswerBounds { first: Duration::from_millis(1_500), stall: Duration::from_millis(600) };

const CHUNK: Duration = Duration::from_millis(50);
const LEVEL: i16 = 1_000;
const TEXT: &str = "alpha bravo gamma delta hotel india";

/// A voice that says each word at a level of its own, followed by a pause.
struct Speaker {
    rate: SampleRate,
    /// The lengths of a word and of the pause after it.
    word_ms: [u64; 2],
    /// Says for the number of each request after how much audio and how it ends.
    fate: fn(usize) -> Option<(u64, Do<AudioChunk>)>,
    asked: AtomicUsize,
    live: Live,
}

impl Tts for Speaker {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "speaker", voices: &[] }
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let span = |n: usize| self.rate.samples_in(Duration::from_millis(self.word_ms[n]));
        let words = request.text.split(' ').count();
        let audio: Vec<i16> =
            (1..=words).flat_map(|n| [vec![n as i16 * LEVEL; span(0)], vec![0; span(1)]]).flatten().collect();
        let fate = (self.fate)(self.asked.fetch_add(1, Ordering::SeqCst));
        let made =
            fate.as_ref().map_or(audio.len(), |(ms, _)| self.rate.samples_in(Duration::from_millis(*ms)));
        let chunks = audio[..made].chunks(self.rate.samples_in(CHUNK));
        let chunks = chunks.map(|samples| AudioChunk::new(self.rate, samples));
        let mut steps: Vec<_> = chunks.flat_map(|chunk| [Do::Wait(10), Do::Give(chunk)]).collect();
        steps.extend(fate.map(|(_, end)| end));
        play(steps, &self.live)
    }
}

fn speaker(
    rate: SampleRate,
    word_ms: [u64; 2],
    fate: fn(usize) -> Option<(u64, Do<AudioChunk>)>,
    live: &Live,
) -> Arc<dyn Tts> {
    Arc::new(Speaker { rate, word_ms, fate, asked: AtomicUsize::new(0), live: live.clone() })
}

/// What a listener hears: the words, by levels that last, and the longest unexpected pause.
async fn words(tts: &dyn Tts) -> (Vec<i16>, Duration) {
    let (mut levels, mut longest, mut rate) = (Vec::new(), Duration::ZERO, None);
    let mut run: (i16, usize) = (0, 0);
    let mut audio = tts.speak(SpeechRequest::new(Requester::local(), TEXT));
    let mut plays_until = Instant::now();
    while let Some(chunk) = audio.next().await {
        let chunk = chunk.expect("speech");
        longest = longest.max(plays_until.elapsed());
        plays_until = plays_until.max(Instant::now()) + chunk.duration();
        assert_eq!(*rate.get_or_insert(chunk.rate), chunk.rate, "one rate a stream");
        for &sample in chunk.samples.iter() {
            run = if run.0 == sample { (sample, run.1 + 1) } else { (sample, 1) };
            if run.1 == chunk.rate.samples_in(Duration::from_millis(20)) && sample != 0 {
                levels.push(sample / LEVEL);
            }
        }
    }
    levels.dedup();
    (levels, longest)
}

/// The first two clauses are spoken in full, the next two are refused. All others are cut off, each 50 ms later than the
/// clause before it.
fn cut_off(nth: usize) -> Option<(u64, Do<AudioChunk>)> {
    match nth {
        0 | 1 => None,
        2 | 3 => Some((0, Do::Fail(ErrorKind::Invalid))),
        _ => Some((50 * (nth as u64 - 3), Do::Fail(ErrorKind::Invalid))),
    }
}

#[tokio::test(start_paused = true)]
async fn each_word_is_heard_once_whichever_voice_says_it() {
    for rate in [SampleRate::HZ_16000, SampleRate::HZ_24000, SampleRate::HZ_22050] {
        for second in [[300, 100], [360, 120], [240, 80]] {
            let live = Live::default();
            let first = speaker(SampleRate::HZ_16000, [300, 100], cut_off, &live);
            let engines = vec![first, speaker(rate, second, |_| None, &live)];
            let fallback = Fallback::new(engines, TTS).expect("engines");
            for nth in 0..46 {
                let (heard, _) = words(&fallback).await;
                assert_eq!(heard, [1, 2, 3, 4, 5, 6], "{rate:?} {second:?} {nth}");
            }
            assert_eq!(counter(&fallback, "switches mid-stream"), 42);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_voice_that_stalls_is_gone_on_from_within_a_second() {
    let live = Live::default();
    let stalls = speaker(SampleRate::HZ_16000, [300, 100], |_| Some((800, Do::Hang)), &live);
    let well = speaker(SampleRate::HZ_16000, [300, 100], |_| None, &live);
    let fallback = Fallback::new(vec![stalls, well], TTS).expect("engines");
    let (heard, longest) = words(&fallback).await;
    assert_eq!(heard, [1, 2, 3, 4, 5, 6]);
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    assert_eq!(counter(&fallback, "switches stall"), 1);
    assert_eq!(live.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_voice_that_makes_long_chunks_slowly_is_waited_for_while_it_is_heard() {
    let live = Live::default();
    let pauses = speaker(SampleRate::HZ_16000, [300, 100], |_| Some((2_400, Do::Wait(2_000))), &live);
    let well = speaker(SampleRate::HZ_16000, [300, 100], |_| None, &live);
    let fallback = Fallback::new(vec![pauses, well], TTS).expect("engines");
    words(&fallback).await;
    assert_eq!(counter(&fallback, "switches stall"), 0, "2.4 s were made in half a second");
}

#[tokio::test(start_paused = true)]
async fn a_clause_cut_off_at_its_very_end_is_not_said_again() {
    let live = Live::default();
    let broken =
        speaker(SampleRate::HZ_16000, [300, 100], |_| Some((2_400, Do::Fail(ErrorKind::Protocol))), &live);
    let well = speaker(SampleRate::HZ_16000, [250, 80], |_| None, &live);
    let fallback = Fallback::new(vec![broken, well], TTS).expect("engines");
    assert_eq!(words(&fallback).await.0, [1, 2, 3, 4, 5, 6]);
}
