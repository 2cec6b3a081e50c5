use antiphon_core::{Requester, Stt, SttInput, SttOptions, Transcript};

use super::*;

const STT: AnswerBounds =
    AnswerBounds { first: Duration::from_millis(1_500), stall: Duration::from_millis(1_500) };

const WELL: Ear = Ear { fails: None, deaf: None, name: "well" };

/// A recogniser that understands the first sample of each piece of audio, and fails as scripted.
#[derive(Clone, Copy)]
struct Ear {
    /// The error to fail with, and the number of pieces after which.
    fails: Option<(usize, ErrorKind)>,
    /// The number of the flush that is never answered.
    deaf: Option<usize>,
    name: &'static str,
}

impl Ear {
    fn transcript(heard: &[i16], flushed: bool) -> Transcript {
        let known = if flushed { heard } else { &[] };
        let text = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        Transcript { text, audio_ms: heard.len() as u64 * 20, flushed, segments: Vec::new() }
    }
}

struct Hearing {
    ear: Ear,
    input: BoxStream<'static, SttInput>,
    heard: Vec<i16>,
    flushes: usize,
    unasked: bool,
}

impl Stt for Ear {
    fn name(&self) -> &'static str {
        self.name
    }

    fn transcribe(
        &self,
        _: SttOptions,
        input: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        let hearing = Hearing { ear: *self, input, heard: Vec::new(), flushes: 0, unasked: false };
        let next = async |mut hearing: Hearing| {
            let ear = hearing.ear;
            let input = hearing.input.next().await;
            let flushed = match &input {
                Some(SttInput::Audio(samples)) => {
                    hearing.heard.extend(samples.first());
                    hearing.unasked = true;
                    false
                }
                Some(SttInput::Flush) => true,
                None if hearing.unasked => true,
                None => return None,
            };
            if let Some((after, kind)) = ear.fails
                && hearing.heard.len() >= after
            {
                return Some((Err(Error::new(kind, "told to fail")), hearing));
            }
            if flushed {
                hearing.unasked = false;
                hearing.flushes += 1;
                if ear.deaf == Some(hearing.flushes) {
                    std::future::pending::<()>().await;
                }
            }
            sleep(Duration::from_millis(1)).await;
            Some((Ok(Ear::transcript(&hearing.heard, flushed)), hearing))
        };
        stream::unfold(hearing, next).boxed()
    }
}

fn piece(n: usize) -> SttInput {
    SttInput::Audio(vec![n as i16; 320].into())
}

/// Sends pieces of 20 ms in real time, with a flush after each of these.
fn speech(pieces: usize, flushes: &'static [usize]) -> BoxStream<'static, SttInput> {
    let inputs = (1..=pieces)
        .flat_map(move |n| [piece(n)].into_iter().chain(flushes.contains(&n).then_some(SttInput::Flush)));
    stream::iter(inputs)
        .then(async |input| {
            if matches!(input, SttInput::Audio(_)) {
                sleep(Duration::from_millis(20)).await;
            }
            input
        })
        .boxed()
}

fn fallback(first: Ear) -> Fallback<dyn Stt> {
    Fallback::new(vec![Arc::new(first) as Arc<dyn Stt>, Arc::new(WELL)], STT).expect("engines")
}

fn told(pieces: usize) -> String {
    (1..=pieces).map(|n| n.to_string()).collect::<Vec<_>>().join(" ")
}

#[tokio::test(start_paused = true)]
async fn another_engine_hears_the_whole_utterance() {
    let failing = |after| Ear { fails: Some((after, ErrorKind::Unavailable)), name: "failing", ..WELL };
    let deaf = |flush| Ear { deaf: Some(flush), name: "deaf", ..WELL };
    for first in [
        failing(0),
        failing(1),
        failing(5),
        failing(6),
        failing(17),
        failing(30),
        deaf(1),
        deaf(2),
        deaf(3),
        WELL,
    ] {
        let fallback = fallback(first);
        let answers: Vec<_> =
            fallback.transcribe(SttOptions::new(Requester::local()), speech(30, &[5, 17])).collect().await;
        let answers: Vec<Transcript> = answers.into_iter().map(|a| a.expect("understood")).collect();
        let flushed: Vec<_> = answers.iter().filter(|t| t.flushed).map(|t| t.text.clone()).collect();
        // What comes while an engine is waited for is covered, too.
        assert_eq!(flushed.len(), 3, "{}: {flushed:?}", first.name);
        assert!(flushed[0].starts_with(&told(5)) && flushed[1].starts_with(&told(17)), "{flushed:?}");
        assert_eq!(flushed[2], told(30), "{:?} {:?}", first.fails, first.deaf);
        assert!(answers.is_sorted_by_key(|t| t.audio_ms), "{answers:?}");
        let switched = u64::from(first.name != "well");
        let switches =
            ["error", "slow", "stall", "mid-stream"].map(|r| counter(&fallback, &format!("switches {r}")));
        assert_eq!(switches.iter().sum::<u64>(), switched);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_is_answered_within_the_bound_of_the_first_engine() {
    let fallback = fallback(Ear { deaf: Some(1), name: "deaf", ..WELL });
    for waits in [true, false] {
        let input = stream::iter([piece(1), SttInput::Flush]).chain(stream::pending()).boxed();
        let since = Instant::now();
        let mut answers = fallback.transcribe(SttOptions::new(Requester::local()), input);
        while !answers.next().await.expect("some").expect("understood").flushed {}
        let bound = if waits { STT.first } else { Duration::ZERO };
        assert!(since.elapsed() < bound + Duration::from_millis(50), "{:?}", since.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_is_not_answered_again() {
    let fallback = fallback(Ear { fails: Some((3, ErrorKind::Protocol)), name: "failing", ..WELL });
    let input =
        [piece(1), SttInput::Flush, piece(2), SttInput::Flush, SttInput::Flush, piece(3), SttInput::Flush];
    let answers: Vec<_> =
        fallback.transcribe(SttOptions::new(Requester::local()), stream::iter(input).boxed()).collect().await;
    let flushed = answers.into_iter().map(|a| a.expect("understood")).filter(|t| t.flushed);
    let texts: Vec<_> = flushed.map(|t| t.text).collect();
    assert_eq!(texts, ["1", "1 2", "1 2", "1 2 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_recording_is_heard_whole_or_not_at_all() {
    // All input comes at once, not in real time, and has to wait for the engine.
    let recording = || stream::iter((1..=10_000).map(piece)).boxed();
    let options = SttOptions { priority: Priority::Batch, ..SttOptions::new(Requester::local()) };
    let well = fallback(WELL);
    let answers: Vec<_> = well.transcribe(options.clone(), recording()).collect().await;
    assert_eq!(answers.last().cloned().expect("some").expect("understood").text, told(10_000));
    let failing = fallback(Ear { fails: Some((9_000, ErrorKind::Protocol)), name: "failing", ..WELL });
    let answers: Vec<_> = failing.transcribe(options, recording()).collect().await;
    assert_eq!(answers.last().expect("some").as_ref().map_err(Error::kind), Err(ErrorKind::Protocol));
}
