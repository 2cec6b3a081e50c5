use antiphon_core::{ErrorKind, Requester, Stt, SttOptions};
use futures_util::SinkExt;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::script::{Conversation, audio, noise, serve, transcribe};
use super::*;
use crate::remote::Bounds;

/// No request of these tests takes so long.
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(50);

/// Messages are "part covers text", with an exclamation mark when they answer a flush, or "over".
struct Plain;

impl Dialect for Plain {
    const PIECE: RangeInclusive<usize> = 320..=1_600;
    const FLUSH: &'static str = "flush";
    const END: &'static str = "end";
    const KEEP_ALIVE: Option<(Duration, &'static str)> = Some((Duration::from_millis(20), "still here"));

    fn read(&mut self, remote: &Remote, message: &str) -> Result<Said> {
        let words: Vec<&str> = message.splitn(3, ' ').collect();
        let [number, covers, text] = words[..] else {
            return Ok(if message == "over" { Said::Over } else { Said::Nothing });
        };
        let parse = |text: &str| text.parse().map_err(|_| remote.protocol("no number"));
        let covers_ms = parse(covers)?;
        Ok(Said::Part(Part {
            number: parse(number)?,
            text: text.to_owned(),
            start_ms: 0,
            end_ms: covers_ms,
            covers_ms,
            answers: text.ends_with('!'),
        }))
    }
}

struct Engine {
    remote: Remote,
    answer_within: Duration,
}

impl Engine {
    fn new(url: &str, answer_within: Duration) -> Self {
        let bounds = Bounds { first: LONG, ..Bounds::default() };
        Self {
            remote: Remote::new(url, "the server", "[stt]").expect("valid").with_bounds(bounds),
            answer_within,
        }
    }
}

impl Stt for Engine {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn transcribe(
        &self,
        options: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        let (remote, answer_within) = (self.remote.clone(), self.answer_within);
        let line = Line { remote, path: "/x".to_owned(), answer_within };
        listen(line, Plain, options.partials, audio)
    }
}

async fn say(socket: &mut Conversation, text: &str) {
    let _ = socket.send(Message::text(text)).await;
}

/// Skips messages up to this text; false if the connection ended before it.
async fn until(socket: &mut Conversation, text: &str) -> bool {
    while let Some(Ok(message)) = socket.next().await {
        if message.to_text().is_ok_and(|said| said == text) {
            return true;
        }
    }
    false
}

fn texts(answers: Vec<Result<Transcript>>) -> Vec<(String, bool)> {
    answers.into_iter().map(|answer| answer.expect("works")).map(|t| (t.text, t.flushed)).collect()
}

fn asked(samples: usize) -> Vec<SttInput> {
    audio(samples).into_iter().chain([SttInput::Flush]).collect()
}

#[tokio::test]
async fn what_needs_no_server_asks_none() {
    let nobody = Engine::new("http://127.0.0.1:9", LONG);
    let answers = transcribe(&nobody, true, vec![SttInput::Flush, SttInput::Flush]).await;
    assert_eq!(texts(answers), [(String::new(), true), (String::new(), true)]);
    let empty = vec![SttInput::Audio([].into())];
    assert_eq!(texts(transcribe(&nobody, true, empty).await), [], "no sample is nothing");

    let url = serve(|_, mut socket| async move {
        assert!(until(&mut socket, "flush").await);
        say(&mut socket, "0 1000 once!").await;
        assert!(until(&mut socket, "end").await, "not asked twice");
    })
    .await;
    let input = asked(16_000).into_iter().chain([SttInput::Flush]).collect();
    let answers = transcribe(&Engine::new(&url, LONG), false, input).await;
    assert_eq!(texts(answers), [("once!".to_owned(), true), ("once!".to_owned(), true)]);
}

#[tokio::test]
async fn partial_transcripts_come_when_they_are_wanted_and_something_changed() {
    let url = serve(|_, mut socket| async move {
        assert!(socket.next().await.is_some());
        for text in ["0 40 a", "0 40 a", "hello", "0 70 ab", "1 60 c", "1 9999 cd"] {
            say(&mut socket, text).await;
        }
        assert!(until(&mut socket, "end").await);
        say(&mut socket, "1 100 CD").await;
        say(&mut socket, "over").await;
    })
    .await;
    for partials in [true, false] {
        let (give, mut take) = mpsc::channel(1);
        let live = stream::poll_fn(move |cx| take.poll_recv(cx)).boxed();
        let options = SttOptions { partials, ..SttOptions::new(Requester::local()) };
        let mut answers = Engine::new(&url, LONG).transcribe(options, live);
        give.send(SttInput::Audio(noise(1_600).into())).await.expect("taken");
        let mut said = Vec::new();
        while partials && said.len() < 4 {
            said.push(answers.next().await.expect("more").expect("works"));
        }
        drop(give);
        let last = answers.next().await.expect("an answer").expect("works");
        assert!(answers.next().await.is_none());
        assert_eq!((last.text.as_str(), last.flushed, last.segments.len()), ("ab CD", true, 2));
        if partials {
            let said: Vec<_> = said.iter().map(|t| (t.text.as_str(), t.audio_ms, t.flushed)).collect();
            assert_eq!(
                said,
                [("a", 40, false), ("ab", 70, false), ("ab c", 70, false), ("ab cd", 100, false)]
            );
        }
    }
}

#[tokio::test]
async fn an_idle_connection_is_kept() {
    let url = serve(|_, mut socket| async move {
        for _ in 0..3 {
            assert!(until(&mut socket, "still here").await);
        }
        say(&mut socket, "0 100 done").await;
        let _ = socket.next().await;
    })
    .await;
    let live = stream::iter(audio(1_600)).chain(stream::pending()).boxed();
    let options = SttOptions { partials: true, ..SttOptions::new(Requester::local()) };
    let first = Engine::new(&url, LONG).transcribe(options, live).next().await;
    assert_eq!(first.expect("one").expect("works").text, "done");
}

#[tokio::test]
async fn a_late_answer_answers_no_later_question() {
    let Engine { remote, answer_within } = Engine::new("http://127.0.0.1:9", LONG);
    let line = Line { remote, path: "/x".to_owned(), answer_within };
    let mut listening = Listening::new(line, Plain, false, stream::pending().boxed());
    listening.pieces.push(noise(32_000).into(), &Plain::PIECE);
    listening.missed_ms = Some(1_000);
    let due = Instant::now() + LONG;
    listening.question = Some(Question { end: false, due, latest: due });
    let mut understand =
        |text: &str| listening.understand(Some(Ok(Frame::Text(text.to_owned())))).expect("works");
    assert_eq!(understand("0 1000 first!"), None);
    let second = understand("1 2000 second!").expect("an answer");
    assert_eq!((second.text.as_str(), second.audio_ms), ("first! second!", 2_000));
}

#[tokio::test]
async fn news_prolongs_the_wait_but_not_for_ever() {
    let url = serve(|_, mut socket| async move {
        assert!(until(&mut socket, "flush").await);
        for covers in 0.. {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if socket.send(Message::text(format!("0 {covers} more"))).await.is_err() {
                return;
            }
        }
    })
    .await;
    let mut engine = Engine::new(&url, LONG);
    engine.remote = engine.remote.with_bounds(Bounds { first: SHORT, ..Bounds::default() });
    let answers = transcribe(&engine, false, asked(40_000)).await;
    assert!(matches!(answers[..], [Ok(Transcript { flushed: true, .. })]), "{answers:?}");
}

#[tokio::test]
async fn long_audio_is_sent_while_answers_come() {
    const MINUTES: usize = 10 * 60 * 16_000;
    let url = serve(|_, mut socket| async move {
        let mut samples = 0;
        while let Some(Ok(message)) = socket.next().await {
            match message {
                Message::Binary(bytes) => {
                    assert!((640..=3_200).contains(&bytes.len()));
                    let second = samples / 16_000;
                    samples += bytes.len() / 2;
                    if samples / 16_000 > second {
                        // Altogether this is more than the buffers between the two hold.
                        say(&mut socket, &format!("0 {} {}", samples / 16, "word ".repeat(1_000))).await;
                    }
                }
                Message::Text(text) if text.as_str() == Plain::END => {
                    say(&mut socket, &format!("0 {} {samples}", samples / 16)).await;
                    say(&mut socket, "over").await;
                }
                _ => {}
            }
        }
    })
    .await;
    let whole = vec![SttInput::Audio(noise(MINUTES).into())];
    let answers = transcribe(&Engine::new(&url, LONG), false, whole).await;
    assert_eq!(texts(answers), [(MINUTES.to_string(), true)]);
}

#[tokio::test]
async fn a_server_that_does_not_read_is_given_up() {
    let url = serve(|_, socket| async move {
        tokio::time::sleep(LONG).await;
        drop(socket);
    })
    .await;
    let answers = transcribe(&Engine::new(&url, LONG), false, audio(20_000_000)).await;
    let error = answers.into_iter().last().expect("an answer").expect_err("given up");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

#[tokio::test]
async fn dropping_the_answers_hangs_up() {
    let (over, mut told) = mpsc::channel(1);
    let url = serve(move |_, mut socket| {
        let over = over.clone();
        async move {
            assert!(socket.next().await.is_some());
            say(&mut socket, "0 100 a").await;
            while let Some(Ok(_)) = socket.next().await {}
            let _ = over.send(()).await;
        }
    })
    .await;
    let live = stream::iter(audio(1_600)).chain(stream::pending()).boxed();
    let options = SttOptions { partials: true, ..SttOptions::new(Requester::local()) };
    let mut answers = Engine::new(&url, LONG).transcribe(options, live);
    assert!(answers.next().await.is_some());
    drop(answers);
    told.recv().await.expect("hung up");
}

#[tokio::test]
async fn a_server_that_makes_up_a_book_is_refused() {
    let url = serve(|_, mut socket| async move {
        for number in 0..3 {
            say(&mut socket, &format!("{number} 10 {}", "x".repeat(500_000))).await;
        }
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
    let live = Engine::new(&url, LONG);
    assert_eq!(super::script::error(&live).await.kind(), ErrorKind::Protocol);
}

#[test]
fn queries_hold_anything() {
    let pairs = [("a", "b c&d=é"), ("e", "~f-g.h_1")];
    assert_eq!(query("/p", &pairs), "/p?a=b%20c%26d%3D%C3%A9&e=~f-g.h_1");
    assert_eq!(query("/p", &[]), "/p");
}

#[test]
fn a_prompt_becomes_terms() {
    let own = ["Antiphon".to_owned(), " ".to_owned()];
    let long = "x".repeat(51);
    let prompt = format!("Ada Lovelace, {long};\nBabbage,");
    assert_eq!(terms(&own, Some(&prompt)), ["Antiphon", "Ada Lovelace", "Babbage"]);
    assert_eq!(terms(&[], Some(&"a,".repeat(500))).len(), 100);
    assert!(terms(&[], None).is_empty());
}
