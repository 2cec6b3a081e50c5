//! Language models that stall and fail, each as a server of its own.
#![expect(clippy::disallowed_methods, reason = "measures what a client sees")]

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::caching::Call;
use crate::model::{Behaviour, Model, with_models};
use crate::program::{Place, Program};
use crate::realtime_call::RealtimeCall;

/// A place whose language models are at these URLs, with `more` configuration.
fn place(urls: &[&str], more: &str) -> Place {
    with_models(Place::new(more), urls)
}

/// The answer to a typed turn, and the longest time in which no part of it came.
pub(crate) async fn answer(server: &Program, text: &str) -> (String, Duration) {
    let url = format!("{}/talk/ws?person=ada", server.url.replacen("http", "ws", 1));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("connects");
    let typed = json!({ "type": "text", "text": text });
    socket.send(Message::text(typed.to_string())).await.expect("sent");
    let (mut said, mut longest, mut latest) = (String::new(), Duration::ZERO, Instant::now());
    let whole = async {
        while let Some(message) = socket.next().await {
            let Ok(event) =
                serde_json::from_str::<Value>(message.expect("a message").to_text().unwrap_or_default())
            else {
                continue;
            };
            match event["type"].as_str() {
                Some("reply_text") => {
                    longest = longest.max(latest.elapsed());
                    latest = Instant::now();
                    said.push_str(event["delta"].as_str().unwrap_or_default());
                }
                Some("reply_done") => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), whole).await.expect("an answer in time");
    socket.close(None).await.expect("closed");
    (said, longest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_stalls_in_the_middle_is_taken_over_from_where_it_stopped() {
    let (stalling, first) = Model::start(Behaviour::StallsAfter("One two three four five ")).await;
    let (other, second) = Model::start(Behaviour::Says("six seven eight.")).await;
    let server = place(&[&first, &second], "").serve().await;
    let (said, longest) = answer(&server, "count to eight").await;
    assert_eq!(said, "One two three four five six seven eight.");
    // The aim is one second, which `cargo bench` measures. A slow machine may need more, but the wait must
    // be bounded.
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    println!("nothing was said for {} ms", longest.as_millis());
    assert_eq!(stalling.asked.load(Ordering::Relaxed), 1);
    let continued = other.requests().pop().expect("asked");
    let has_begun =
        |message: &Value| message["content"].as_str().is_some_and(|text| text.contains("four five"));
    assert!(continued["messages"].as_array().is_some_and(|messages| messages.iter().any(has_begun)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_hardly_notice_a_model_that_fails_half_of_the_time_or_is_down() {
    let (flaky, first) = Model::start(Behaviour::FailsHalf("Flaky.")).await;
    let (_, second) = Model::start(Behaviour::Says("Steady.")).await;
    let server = place(&[&first, &second], "").serve().await;
    let client = reqwest::Client::new();
    let ask = async || {
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }] });
        let request = client.post(format!("{}/v1/chat/completions", server.url));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.expect("answers");
        (answer.status().is_success(), answer.text().await.expect("text"))
    };
    let mut failed = 0;
    for _ in 0..200 {
        failed += usize::from(!ask().await.0);
    }
    assert!(failed < 2, "{failed} of 200 failed");
    // The engine goes down.
    flaky.down.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        assert!(ask().await.1.contains("Steady."));
    }
    let metrics = reqwest::get(format!("{}/metrics", server.url)).await.expect("answers");
    let metrics = metrics.text().await.expect("text");
    for name in [
        "antiphon_breaker_state{target=",
        "antiphon_concurrency_limit{target=",
        "antiphon_queue_depth{queue=",
    ] {
        assert!(metrics.contains(name), "{name} is missing in {metrics}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_comes_back_is_found_again() {
    let (model, first) = Model::start(Behaviour::Says("First.")).await;
    let (_, second) = Model::start(Behaviour::Says("Second.")).await;
    let server = place(&[&first, &second], "").serve().await;
    assert_eq!(answer(&server, "hello").await.0, "First.");
    model.down.store(true, Ordering::Relaxed);
    assert_eq!(answer(&server, "hello").await.0, "Second.");
    model.down.store(false, Ordering::Relaxed);
    // The breaker stays open for a second at first. Then only the probe may find out whether the engine is back.
    let found = async {
        while answer(&server, "hello").await.0 != "First." {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), found).await.expect("it is found");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_felt_and_remembered_reaches_the_model() {
    let (model, url) = Model::start(Behaviour::Says("I see.")).await;
    let place = place(&[&url], "[kb]\nfiles = [\"faq.md\"]\n");
    place.write(
        "faq.md",
        "# Opening hours\n\nThe shop opens at nine in the morning, and on Sundays at noon.\n",
    );
    place.replace("[embed]\nengine = \"sim\"", "[embed]\nengine = \"minilm\"");
    place.link_models();
    let server = place.serve().await;
    // Memories are stored beside the call, which goes on, so the next question may come before that is done.
    let mut telling = Call::by(&server, "ada").await;
    telling.ask("My name is Ada, I am so angry, you idiots lost my parcel again, I hate this!").await;
    let mut prompts = Vec::new();
    for _ in 0..50 {
        answer(&server, "At what time does the shop open on Sunday?").await;
        prompts = model.requests().iter().map(|request| request["messages"].to_string()).collect::<Vec<_>>();
        if prompts.last().is_some_and(|prompt| prompt.contains("My name is Ada")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(prompts[0].contains("anger"), "{}", prompts[0]);
    let last = prompts.last().expect("asked");
    assert!(last.contains("on Sundays at noon"), "{last}");
    assert!(last.contains("My name is Ada"), "in another call: {last}");
    server.stop().await;
}

/// What the metrics say of the circuit breakers of all engines: 0 is closed.
async fn breakers(server: &Program) -> Vec<String> {
    let metrics = reqwest::get(format!("{}/metrics", server.url)).await.expect("answers");
    let metrics = metrics.text().await.expect("text");
    metrics.lines().filter(|line| line.starts_with("antiphon_breaker_state{")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_names_of_models_harm_only_whoever_sends_them() {
    let (model, url) = Model::start(Behaviour::KnowsItsName("Hello there.")).await;
    let place = place(&[&url], "");
    place.replace("engines = [", "aliases = [\"mistaken=nope\"]\nengines = [");
    let server = place.serve().await;
    let client = reqwest::Client::new();
    let ask = async |name: Option<&str>| {
        let mut body = json!({ "messages": [{ "role": "user", "content": "hi" }] });
        if let Some(name) = name {
            body["model"] = json!(name);
        }
        let post = client.post(format!("{}/v1/chat/completions", server.url)).json(&body);
        let answer = post.send().await.expect("answers");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    for _ in 0..8 {
        let (status, body) = ask(Some("mistaken")).await;
        assert!(status == 404 && body.contains("nope"), "{status}: {body}");
    }
    assert_eq!(model.asked.load(Ordering::Relaxed), 8, "each was passed on");
    for name in [None, Some("m"), Some("gpt-4o")] {
        let (status, body) = ask(name).await;
        assert!(status == 200 && body.contains("Hello there."), "{name:?}: {status}: {body}");
    }
    assert_eq!(answer(&server, "hi").await.0, "Hello there.");
    let response = RealtimeCall::begin(&server).await.ask("hi", json!({})).await;
    assert_eq!(
        response["status"], "completed",
        "the client's name for the model is not the engine's: {response}"
    );
    let states = breakers(&server).await;
    assert!(!states.is_empty() && states.iter().all(|line| line.ends_with(" 0.0")), "{states:?}");
    server.stop().await;
}
