//! Answers that are prefetched before the question is asked.

use std::time::Duration;

use serde_json::{Value, json};

use crate::caching::{Call, command, of};
use crate::model::{Behaviour, Model, with_models};
use crate::program::{Place, Program};

const FIRST: &str = "Where can I park my car?";
const THEN: &str = "How much does the ticket cost?";
/// Longest wait for a prefetch. An answer takes milliseconds, but prefetching has a budget, which is full again only
/// after a minute.
const PATIENCE: Duration = Duration::from_secs(20);
/// Number of attempts. Together they wait for more than the minute after which the budget is full again.
const ROUNDS: usize = 6;

fn answer(asked: &str) -> String {
    (if asked == FIRST { "Behind the house." } else { "Two pounds." }).to_owned()
}

/// The cached answers to a question: one id for each conversation in which it was asked, and whether anybody has
/// asked for it.
async fn kept(server: &Program, question: &str) -> Vec<(Value, bool)> {
    let entries = server.get("/api/cache/entries?cache=reply").await;
    let entries = entries["data"].as_array().expect("a list").clone();
    let of_it = entries.into_iter().filter(|entry| entry["label"].as_str() == Some(question));
    of_it.map(|entry| (entry["id"].clone(), entry["ahead"] == json!(false))).collect()
}

/// Whether this answer is made before anybody asks for it.
async fn is_prefetched(server: &Program, question: &str, id: &Value) -> bool {
    let there = async {
        while !kept(server, question).await.contains(&(id.clone(), false)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, there).await.is_ok()
}

/// A counter or level of the component; zero until it exists.
async fn figure(server: &Program, list: &str, name: &str) -> f64 {
    let report = server.get("/api/performance?component=prefetch").await;
    let numbers = report["components"][0][list].as_array().cloned().unwrap_or_default();
    numbers.iter().find(|one| one["name"] == name).and_then(|one| one["value"].as_f64()).unwrap_or_default()
}

/// Clears all answers, and then makes a call that asks both questions. Returns whether each answer was prefetched.
async fn are_prefetched(place: &Place, server: &Program, ids: &[Value; 2]) -> bool {
    command(place, server, &["clear", "--cache", "reply"]).await;
    let mut call = Call::begin(server).await;
    for (question, id) in [FIRST, THEN].into_iter().zip(ids) {
        if !is_prefetched(server, question, id).await {
            return false;
        }
        assert_eq!(call.ask(question).await, (answer(question), true));
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn what_callers_ask_next_is_answered_ahead_also_by_the_next_server() {
    let (_model, url) = Model::start(Behaviour::Answers(|asked, _| answer(asked))).await;
    let place = with_models(Place::with_caches("[cache]\npredict = true\n"), &[&url]);
    let config = std::fs::read_to_string(place.path("antiphon.toml")).expect("there");
    // Speech is short, because prefetching begins only once a reply has been heard to its end.
    place.write("antiphon.toml", &config.replace("audio_ms = 1000", "audio_ms = 20"));
    let server = place.serve().await;
    for (caller, from_cache) in [("a stranger", false), ("another", true)] {
        let mut call = Call::begin(&server).await;
        for question in [FIRST, THEN] {
            assert_eq!(call.ask(question).await, (answer(question), from_cache), "{caller}");
        }
    }
    let asked = async |question: &str| {
        let kept = kept(&server, question).await;
        kept.into_iter().find(|(_, asked)| *asked).map(|(id, _)| id).expect("it was asked")
    };
    let ids = [asked(FIRST).await, asked(THEN).await];
    for round in 1.. {
        assert!(round <= ROUNDS, "{}", server.get("/api/performance?component=prefetch").await);
        let both = are_prefetched(&place, &server, &ids).await;
        if both && figure(&server, "counters", "prepared and used").await > 0.0 {
            break;
        }
    }
    let stats = server.get("/api/cache").await;
    assert!(of(&stats, "reply")["used_ahead"].as_u64() >= Some(2), "{stats}");
    // Only what was learned is left for the next server.
    command(&place, &server, &["clear"]).await;
    server.stop().await;

    let server = place.serve().await;
    assert!(are_prefetched(&place, &server, &ids).await, "{}", place.log());
    assert!(figure(&server, "levels", "questions").await >= 2.0);
    server.stop().await;
}
