//! Language models that think before they speak.

use serde_json::json;

use crate::model::{Behaviour, Model, with_models};
use crate::program::Place;
use crate::resilience::answer;

/// Thinks with both marks, or as a model whose template opens the thought.
fn think(asked: &str, _: &str) -> String {
    let thought = "Okay, the user wants me to greet. I should be secret.\n</think>\n\n";
    let open = if asked.contains("open") { "" } else { "<think>\n" };
    format!("{open}{thought}Hello there.")
}

#[tokio::test(flavor = "multi_thread")]
async fn thoughts_are_neither_spoken_nor_shown_nor_kept() {
    for questions in [["think tags", "think open"], ["think open", "think tags"]] {
        let (model, url) = Model::start(Behaviour::Answers(think)).await;
        let server = with_models(Place::with_caches(""), &[&url]).serve().await;
        for question in questions {
            assert_eq!(answer(&server, question).await.0, "Hello there.", "{question}");
        }
        let body = json!({ "messages": [{ "role": "user", "content": questions[0] }] });
        let url = format!("{}/v1/chat/completions", server.url);
        let written = reqwest::Client::new().post(url).json(&body).send().await.expect("answers");
        let written = written.text().await.expect("text");
        assert!(written.contains("Hello there.") && !written.contains("secret"), "{written}");
        server.typed_call(&questions, None).await;
        let asked = model.requests().pop().expect("asked")["messages"].to_string();
        // The second question cuts off the first answer.
        assert!(asked.contains("Hello") && !asked.contains("secret"), "{asked}");
        server.stop().await;
    }
}
