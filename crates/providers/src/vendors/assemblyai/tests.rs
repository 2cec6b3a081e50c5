use std::sync::Arc;

use antiphon_core::Segment;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::remote::listening::script::{self, Vendor};

/// Samples of one word: half a second at 16 kHz.
const WORD: usize = 8_000;

/// A server that recognises a word every half second and ends a turn when it is asked to.
struct Server {
    formats: bool,
    samples: usize,
    /// Where the turn began, and its number.
    turn: (usize, u64),
}

impl Server {
    fn new(asked: &str) -> Self {
        Self { formats: asked.contains("format_turns=true"), samples: 0, turn: (0, 0) }
    }

    fn turn(&self, ended: bool, formatted: bool) -> String {
        let ms = |samples: usize| samples / 16;
        let words: Vec<_> = (self.turn.0 / WORD..self.samples / WORD)
            .map(|n| {
                let text = if formatted { format!("Word{n},") } else { format!("word{n}") };
                let last = n + 1 == self.samples / WORD;
                json!({ "start": ms(n * WORD), "end": ms((n + 1) * WORD), "text": text, "confidence": 0.9,
                    "word_is_final": ended || !last })
            })
            .collect();
        let settled = words.iter().filter(|word| word["word_is_final"] == true);
        let transcript: Vec<_> = settled.filter_map(|word| word["text"].as_str()).collect();
        json!({ "type": "Turn", "turn_order": self.turn.1, "turn_is_formatted": formatted, "end_of_turn": ended,
            "transcript": transcript.join(" "), "end_of_turn_confidence": 0.5, "words": words, "utterance": "" })
        .to_string()
    }

    fn end_turn(&mut self) -> Vec<String> {
        if self.samples / WORD == self.turn.0 / WORD {
            return Vec::new();
        }
        let mut said = vec![self.turn(true, false)];
        if self.formats {
            said.push(self.turn(true, true));
        }
        self.turn = (self.samples, self.turn.1 + 1);
        said
    }
}

impl Vendor for Server {
    fn begin(&mut self) -> Vec<String> {
        vec![json!({ "type": "Begin", "id": "i", "expires_at": 1_759_796_682 }).to_string()]
    }

    fn hear(&mut self, samples: usize) -> Vec<String> {
        assert!((800..=16_000).contains(&samples), "Input duration violation: {samples}");
        let before = self.samples / WORD;
        self.samples += samples;
        if self.samples / WORD > before { vec![self.turn(false, false)] } else { Vec::new() }
    }

    fn read(&mut self, text: &str) -> (Vec<String>, bool) {
        match text {
            r#"{"type":"ForceEndpoint"}"# => (self.end_turn(), false),
            r#"{"type":"Terminate"}"# => {
                let mut said = self.end_turn();
                let termination = json!({ "type": "Termination", "audio_duration_seconds": 2,
                    "session_duration_seconds": 2 });
                said.push(termination.to_string());
                (said, true)
            }
            _ => panic!("AssemblyAI does not know {text}"),
        }
    }
}

fn options(base_url: String) -> AssemblyAiOptions {
    let answer_within = Duration::from_secs(30);
    AssemblyAiOptions { base_url, api_key: ApiKey::new("s3cret"), answer_within, ..Default::default() }
}

fn engine(options: AssemblyAiOptions) -> AssemblyAi {
    AssemblyAi::new(options).expect("made")
}

#[tokio::test]
async fn it_obeys_the_spec() {
    let url = script::vendor(Server::new).await;
    crate::spec::stt(&engine(options(url.clone())), &script::noise(40_000)).await;
    let plain = AssemblyAiOptions { settings: AssemblyAiSettings { format_turns: false }, ..options(url) };
    crate::spec::stt(&engine(plain), &script::noise(40_000)).await;
}

#[tokio::test]
async fn turns_are_kept_and_their_formatted_text_preferred() {
    let url = script::vendor(Server::new).await;
    // The last piece of each is too short, so that it is filled with silence.
    let twice = || script::audio(16_100).into_iter().chain([SttInput::Flush]);
    let input = twice().chain(twice()).collect();
    let said = script::transcribe(&engine(options(url)), true, input).await;
    let said: Vec<Transcript> = said.into_iter().map(|t| t.expect("works")).collect();
    assert!(said.is_sorted_by_key(|t| t.audio_ms), "{said:?}");
    let flushed: Vec<_> = said.iter().filter(|t| t.flushed).collect();
    assert_eq!(flushed[0].text, "Word0, Word1,");
    assert_eq!(flushed[1].text, "Word0, Word1, Word2, Word3,");
    assert_eq!(flushed[0].segments, [Segment { start_s: 0.0, end_s: 1.0, text: "Word0, Word1,".to_owned() }]);
    // The server's clock is 44 ms ahead, because it also counts the silence that filled the piece.
    assert_eq!((flushed[1].segments[1].start_s, flushed[1].segments[1].end_s), (1.0, 1.957));
    assert_eq!(flushed[1].audio_ms, 2 * 16_100 / 16);
}

#[test]
fn a_turn_that_goes_on_has_the_words_that_may_still_change() {
    let turn = r#"{"type":"Turn","turn_order":2,"transcript":"hi","words":[
        {"text":"hi","start":1920,"end":2000,"word_is_final":true},
        {"text":"my","start":2800,"end":2880,"word_is_final":false}]}"#;
    let Ok(Said::Part(part)) = Wire { formats: true }.read(&remote(), turn) else { panic!("a part") };
    let text = "hi my".to_owned();
    let expected = Part { number: 2, text, start_ms: 1_920, end_ms: 2_880, covers_ms: 2_880, answers: false };
    assert_eq!(part, expected);
}

#[tokio::test]
async fn it_is_asked_for_what_the_options_say() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let url = script::vendor(move |asked| {
        let _ = tell.send(asked.to_owned());
        Server::new(asked)
    })
    .await;
    let own =
        AssemblyAiOptions { keyterms: vec!["Antiphon".to_owned(), "a \"b\"".to_owned()], ..options(url) };
    assert!(!format!("{own:?}").contains("s3cret"));
    let plain = AssemblyAiOptions {
        settings: AssemblyAiSettings { format_turns: false },
        keyterms: Vec::new(),
        ..own.clone()
    };
    script::transcribe(&engine(own), false, script::audio(16_000)).await;
    let expected = "/v3/ws?sample_rate=16000&encoding=pcm_s16le&speech_model=universal-streaming-english\
        &format_turns=true&end_of_turn_confidence_threshold=1.0&max_turn_silence=10000\
        &keyterms_prompt=%5B%22Antiphon%22%2C%22a%20%5C%22b%5C%22%22%5D s3cret";
    assert_eq!(told.recv().await.as_deref(), Some(expected));
    script::transcribe(&engine(plain), false, script::audio(16_000)).await;
    assert!(told.recv().await.is_some_and(|asked| asked.contains("&format_turns=false&")));
}

#[tokio::test]
async fn failures_say_what_happened_and_never_the_key() {
    let make = |url| -> Arc<dyn Stt> { Arc::new(engine(options(url))) };
    script::fails_clearly(make, r#"{"error":"because"}"#).await;
    for (code, kind) in [
        (1008, ErrorKind::Unauthorized),
        (3009, ErrorKind::RateLimited),
        (3006, ErrorKind::Invalid),
        (3005, ErrorKind::Unavailable),
    ] {
        let complaint = match code {
            1008 => r#"{"type":"Error","error_code":1008,"error":"because"}"#,
            3009 => r#"{"type":"Error","error_code":3009,"error":"because"}"#,
            3006 => r#"{"type":"Error","error_code":3006,"error":"because"}"#,
            _ => r#"{"error":"because"}"#,
        };
        let url = script::faulty(script::Fault::Text(complaint)).await;
        let error = script::error(make(url).as_ref()).await;
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, "AssemblyAI failed: because"));
    }
}

#[tokio::test]
async fn silence_is_bounded() {
    let answer_within = Duration::from_millis(50);
    let make =
        |url| -> Arc<dyn Stt> { Arc::new(engine(AssemblyAiOptions { answer_within, ..options(url) })) };
    script::silence_is_bounded(make).await;
}

fn remote() -> Remote {
    Remote::new("http://x", "AssemblyAI", "[stt]").expect("valid")
}

proptest! {
    #[test]
    fn any_text_is_read(text: String) {
        let _ = Wire { formats: true }.read(&remote(), &text);
    }

    #[test]
    fn any_numbers_are_read(order: u64, start: u64, end: u64, code: i64, ended: bool) {
        let turn = json!({ "type": "Turn", "turn_order": order, "end_of_turn": ended, "error_code": code,
            "words": [{ "text": "a", "start": start, "end": end }] });
        let _ = Wire { formats: false }.read(&remote(), &turn.to_string());
    }
}
