//! Language models that think before they speak.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::caching::{Call, command};
use crate::model::{Behaviour, Model, content, with_models};
use crate::program::{PATIENCE, Place, Program};
use crate::realtime_call::RealtimeCall;
use crate::resilience::answer;
use crate::voice::{Voice, with_voice};

/// What the model says once it has thought.
const SAID: &str = "Hello there.";
/// A word of every thought, and of nothing else.
const SECRET: &str = "secret";
/// Questions that make it think with both marks, as a model whose template opens the thought, and in fields of their own. What an
/// answer shows of the template changes how the next one is read, so each kind comes first once.
const ORDERS: [[&str; 2]; 3] =
    [["think tags", "think open"], ["think open", "think tags"], ["reasoning field", "think tags"]];

/// The deltas of an answer whose thought is sent as the question says.
fn think(asked: &str) -> Vec<Value> {
    let thought = match asked {
        "reasoning field" => {
            vec![
                json!({ "content": null, "reasoning_content": "secret thoughts" }),
                json!({ "reasoning": "more secret" }),
            ]
        }
        "think open" => [content("Let me ponder this secret.\n"), content("</think>")].into(),
        _ => ["<think>", "\nOkay, the user wants me to greet. I should be secret.\n", "</think>"]
            .map(content)
            .into(),
    };
    [thought, vec![content("\n\nHello "), content("there.")]].concat()
}

/// What a client of the REST interface is sent for this question.
async fn written(server: &Program, question: &str, streamed: bool) -> String {
    let body = json!({ "messages": [{ "role": "user", "content": question }], "stream": streamed });
    let url = format!("{}/v1/chat/completions", server.url);
    let answer = reqwest::Client::new().post(url).json(&body).send().await.expect("answers");
    answer.text().await.expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn thoughts_are_neither_spoken_nor_shown_nor_kept() {
    for questions in ORDERS {
        let (model, url) = Model::start(Behaviour::Sends(think)).await;
        let server = with_models(Place::with_caches(""), &[&url]).serve().await;
        for question in questions {
            assert_eq!(answer(&server, question).await.0, SAID, "{question}");
            for streamed in [false, true] {
                let written = written(&server, question, streamed).await;
                assert!(written.contains("Hello") && !written.contains(SECRET), "{question}: {written}");
            }
        }
        server.typed_call(&questions, None).await;
        let asked = model.requests().pop().expect("asked")["messages"].to_string();
        // The second question cuts off the first answer.
        assert!(asked.contains("Hello") && !asked.contains(SECRET), "{asked}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thoughts_are_not_spoken_over_openais_protocol() {
    for questions in ORDERS {
        let (_, url) = Model::start(Behaviour::Sends(think)).await;
        let (voice, voice_url) = Voice::start().await;
        let server = with_voice(with_models(Place::new(""), &[&url]), &voice_url).serve().await;
        for (turn, question) in questions.into_iter().enumerate() {
            let mut call = RealtimeCall::begin(&server).await;
            let spoken = call.ask(question, json!({ "output_modalities": ["audio"] })).await;
            assert_eq!(spoken["output"][0]["content"][0]["transcript"], SAID, "{question}: {spoken}");
            let audio =
                call.events.iter().filter(|event| event["type"] == "response.output_audio.delta").count();
            assert!(audio > 0, "{question}: {:#?}", call.events);
            let text = call.ask(question, json!({ "output_modalities": ["text"] })).await;
            assert_eq!(text["output"][0]["content"][0]["text"], SAID, "{question}: {text}");
            let events = json!(call.events).to_string();
            assert!(!events.contains(SECRET), "{question}: {events}");
            assert_eq!(
                voice.texts(),
                vec![SAID; turn + 1],
                "{question}: one was to be spoken, and one to be read"
            );
        }
        server.stop().await;
    }
}

/// Whether a file in this folder or below it holds these words.
fn holds(folder: &Path, words: &str) -> bool {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.into_iter().any(|path| {
        if path.is_dir() {
            return holds(&path, words);
        }
        // A file may be gone again, as those are that a database writes for a moment.
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(words.len()).any(|window| window == words.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cache_file_or_log_holds_a_thought() {
    for question in ORDERS.map(|order| order[0]) {
        let (_, url) = Model::start(Behaviour::Sends(think)).await;
        let place = with_models(Place::with_caches(""), &[&url]);
        let server = place.serve().await;
        assert_eq!(Call::begin(&server).await.ask(question).await, (SAID.to_owned(), false));
        // An entry is written a moment after it was made.
        let written = async {
            while !holds(&place.path(""), SAID) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, written).await.expect("the answer is kept");
        assert_eq!(Call::begin(&server).await.ask(question).await, (SAID.to_owned(), true));
        assert!(command(&place, &server, &["list"]).await.contains(question));
        server.stop().await;
        assert!(!holds(&place.path(""), SECRET), "{question}");
    }
}
