use std::sync::Arc;

use antiphon_core::{Requester, Segment};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::remote::listening::script::{self, Vendor};

/// Samples of one word: half a second at 16 kHz.
const WORD: usize = 8_000;
/// Samples after which the text becomes final.
const STRETCH: usize = 4 * WORD;

/// A server that recognises a word every half second. Its text becomes final every two seconds and on request.
#[derive(Default)]
struct Server {
    samples: usize,
    settled: usize,
}

impl Server {
    fn results(&mut self, is_final: bool, from_finalize: bool) -> String {
        let seconds = |samples: usize| samples as f64 / 16_000.0;
        let words: Vec<_> = (self.settled / WORD..self.samples / WORD)
            .map(|n| json!({ "word": format!("word{n}"), "start": seconds(n * WORD), "end": seconds((n + 1) * WORD),
                "confidence": 0.99, "punctuated_word": format!("Word{n}.") }))
            .collect();
        let text: Vec<_> = words.iter().filter_map(|word| word["punctuated_word"].as_str()).collect();
        let message = json!({
            "type": "Results", "channel_index": [0, 1], "start": seconds(self.settled),
            "duration": seconds(self.samples - self.settled), "is_final": is_final, "speech_final": false,
            "channel": { "alternatives": [{ "transcript": text.join(" "), "confidence": 0.9, "words": words }] },
            "metadata": { "request_id": "r", "model_info": { "name": "nova" }, "model_uuid": "u" },
            "from_finalize": from_finalize,
        });
        if is_final {
            self.settled = self.samples;
        }
        message.to_string()
    }
}

impl Vendor for Server {
    fn begin(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn hear(&mut self, samples: usize) -> Vec<String> {
        assert!((320..=1_600).contains(&samples), "{samples}");
        let before = self.samples / WORD;
        self.samples += samples;
        let is_final = self.samples - self.settled >= STRETCH;
        let mut said = Vec::new();
        if is_final || self.samples / WORD > before {
            said.push(json!({ "type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.1 }).to_string());
            said.push(self.results(is_final, false));
            said.push(json!({ "type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 1.0 }).to_string());
        }
        said
    }

    fn read(&mut self, text: &str) -> (Vec<String>, bool) {
        match text {
            r#"{"type":"Finalize"}"# => (vec![self.results(true, true)], false),
            r#"{"type":"CloseStream"}"# => {
                let metadata = json!({ "type": "Metadata", "request_id": "r", "sha256": "0", "duration": 1.0,
                    "created": "2026-01-01T00:00:00Z", "channels": 1 });
                (vec![self.results(true, false), metadata.to_string()], true)
            }
            r#"{"type":"KeepAlive"}"# => (Vec::new(), false),
            _ => panic!("Deepgram does not know {text}"),
        }
    }
}

fn options(base_url: String) -> DeepgramListenOptions {
    let answer_within = Duration::from_secs(30);
    DeepgramListenOptions {
        base_url,
        api_key: Some(ApiKey::new("s3cret")),
        answer_within,
        ..Default::default()
    }
}

fn engine(options: DeepgramListenOptions) -> DeepgramListen {
    DeepgramListen::new(options).expect("made")
}

#[tokio::test]
async fn it_obeys_the_spec() {
    let url = script::vendor(|_| Server::default()).await;
    crate::spec::stt(&engine(options(url)), &script::noise(40_000)).await;
}

#[tokio::test]
async fn final_results_are_kept_and_others_replaced() {
    let url = script::vendor(|_| Server::default()).await;
    let input =
        script::audio(56_000).into_iter().chain([SttInput::Flush]).chain(script::audio(12_345)).collect();
    let said = script::transcribe(&engine(options(url)), true, input).await;
    let said: Vec<Transcript> = said.into_iter().map(|t| t.expect("works")).collect();
    assert!(said.is_sorted_by_key(|t| t.audio_ms), "{said:?}");
    let flushed: Vec<_> = said.iter().filter(|t| t.flushed).collect();
    assert_eq!(flushed[0].text, "Word0. Word1. Word2. Word3. Word4. Word5. Word6.");
    let segment = |start_s, end_s, text: &str| Segment { start_s, end_s, text: text.to_owned() };
    let expected =
        [segment(0.0, 2.0, "Word0. Word1. Word2. Word3."), segment(2.0, 3.5, "Word4. Word5. Word6.")];
    assert_eq!(flushed[0].segments, expected);
    assert_eq!(flushed[1].text, format!("{} Word7.", flushed[0].text));
    assert_eq!((flushed.len(), flushed[1].audio_ms), (2, (56_000 + 12_345) / 16));
}

#[tokio::test]
async fn it_is_asked_for_what_the_options_say() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let url = script::vendor(move |asked| {
        let _ = tell.send(asked.to_owned());
        Server::default()
    })
    .await;
    let own = DeepgramListenOptions {
        language: Some("multi".to_owned()),
        keyterms: vec!["Antiphon".to_owned()],
        ..options(url)
    };
    assert!(!format!("{own:?}").contains("s3cret"));
    let older = DeepgramListenOptions { model: "nova-2".to_owned(), ..own.clone() };
    let raw = DeepgramListenOptions {
        settings: DeepgramListenSettings { smart_format: false },
        keyterms: Vec::new(),
        ..own.clone()
    };
    let ask = async |own: DeepgramListenOptions, options: SttOptions| {
        let audio = futures_util::StreamExt::boxed(futures_util::stream::iter(script::audio(1_600)));
        let answers = engine(own).transcribe(options, audio);
        futures_util::StreamExt::collect::<Vec<_>>(answers).await
    };
    let german = SttOptions {
        language: Some("de".to_owned()),
        prompt: Some("Ada".to_owned()),
        ..SttOptions::new(Requester::local())
    };
    ask(own, german).await;
    ask(older, SttOptions::new(Requester::local())).await;
    ask(raw, SttOptions::new(Requester::local())).await;
    let common = "&encoding=linear16&sample_rate=16000&channels=1&interim_results=true&punctuate=true\
        &smart_format=true&endpointing=false";
    let expected = [
        format!("/v1/listen?model=nova-3{common}&language=de&keyterm=Antiphon&keyterm=Ada Token s3cret"),
        format!("/v1/listen?model=nova-2{common}&language=multi&keywords=Antiphon Token s3cret"),
        format!("/v1/listen?model=nova-3{common}&language=multi Token s3cret")
            .replace("smart_format=true", "smart_format=false"),
    ];
    for expected in expected {
        assert_eq!(told.recv().await, Some(expected));
    }
}

#[tokio::test]
async fn failures_say_what_happened_and_never_the_key() {
    let make = |url| -> Arc<dyn Stt> { Arc::new(engine(options(url))) };
    script::fails_clearly(make, r#"{"err_code":"INVALID_AUTH","err_msg":"because","request_id":"r"}"#).await;
    let complaint = r#"{"type":"Error","description":"because","message":"m","variant":"v"}"#;
    let url = script::faulty(script::Fault::Text(complaint)).await;
    let error = script::error(make(url).as_ref()).await;
    assert_eq!(error.to_string(), "Deepgram failed: because");
}

#[tokio::test]
async fn silence_is_bounded() {
    let answer_within = Duration::from_millis(50);
    let make =
        |url| -> Arc<dyn Stt> { Arc::new(engine(DeepgramListenOptions { answer_within, ..options(url) })) };
    script::silence_is_bounded(make).await;
}

fn remote() -> Remote {
    Remote::new("http://x", "Deepgram", "[stt]").expect("valid")
}

proptest! {
    #[test]
    fn any_text_is_read(text: String) {
        let _ = Wire::default().read(&remote(), &text);
    }

    #[test]
    fn any_numbers_are_read(start: f64, duration: f64, word: f64, is_final: bool) {
        let text = json!({ "type": "Results", "start": start, "duration": duration, "is_final": is_final,
            "channel": { "alternatives": [{ "transcript": "a", "words": [{ "start": word, "end": -word }] }] } });
        let _ = Wire::default().read(&remote(), &text.to_string());
    }
}
