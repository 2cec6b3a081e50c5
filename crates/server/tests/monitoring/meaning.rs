//! Questions that are asked again in other words.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::caching::{Call, ask, command};
use crate::model::{Behaviour, Model, with_models};
use crate::program::{Place, Program};

const THINGS: &str = "book shirt lamp phone table chair sofa carpet mirror kettle toaster blender fridge oven camera \
    printer laptop keyboard monitor speaker guitar piano violin drum bicycle scooter helmet jacket sweater scarf hat \
    glove boot sandal backpack suitcase umbrella wallet watch ring necklace bracelet pillow blanket towel curtain \
    candle vase clock frame knife spoon bottle basket hammer ladder bucket broom tent canoe";

/// What one person tells about something that nobody else asked about yet, and the word in it that nobody else may hear.
const TOLD: &str = "I bought a kayak, and a zebra is painted on the kayak that I bought.";
const SECRET: &str = "zebra";

fn wordings(thing: &str) -> [String; 2] {
    [
        format!("How do I return the {thing} that I bought?"),
        format!("How can I return the {thing} that I bought?"),
    ]
}

/// A model that answers in one of two wordings and tells the secret if it was given it, and that compares answers when it is
/// asked to.
fn answer(asked: &str, prompt: &str) -> String {
    if asked.starts_with("Question: ") {
        return (if are_same(asked) { "yes" } else { "no" }).to_owned();
    }
    let thing =
        THINGS.split_whitespace().find(|thing| asked.contains(&format!(" {thing} "))).unwrap_or("thing");
    let known = if prompt.contains(SECRET) { "I know of the zebra. " } else { "" };
    if asked.contains("How do") {
        format!("{known}Send the {thing} back to our shop.")
    } else {
        format!(
            "{known}Put it in a parcel: the address of the shop where you bought the {thing} is all it needs."
        )
    }
}

/// Whether the reply to a person tells the secret.
async fn tells(server: &Program, person: &str, question: &str) -> bool {
    Call::by(server, person).await.ask(question).await.0.contains(SECRET)
}

fn are_same(asked: &str) -> bool {
    let [question, first, second] = ["Question: ", "First answer: ", "Second answer: "].map(|label| {
        let from = asked.find(label).expect(label) + label.len();
        asked[from..].lines().next().unwrap_or_default()
    });
    let mut pairs = antiphon_cache::EXAMINATION.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    match pairs.find(|pair| pair[1] == question && pair[2..].contains(&first) && pair[2..].contains(&second))
    {
        Some(pair) => pair[0] == "same",
        None => THINGS.split_whitespace().all(|thing| first.contains(thing) == second.contains(thing)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_in_other_words_is_answered_once_that_was_seen_to_be_right() {
    let (model, url) = Model::start(Behaviour::Answers(answer)).await;
    let cache = "[cache]\nreply = \"semantic\"\nreply_error_bound = 0.2\n";
    let place = with_models(Place::with_caches(cache), &[&url]);
    place.link_models();
    place.replace("[embed]\nengine = \"sim\"", "[embed]\nengine = \"minilm\"");
    // Speech is short, so that a reply is soon heard to its end and the next question can follow.
    place.replace("audio_ms = 1000", "audio_ms = 20");
    let server = place.serve().await;
    let mut hits = 0;
    let mut things = THINGS.split_whitespace();
    for thing in things.by_ref().take(50) {
        let [first, second] = wordings(thing);
        assert!(!ask(&server, &first).await.1, "nobody asked that before");
        let (said, from_cache) = ask(&server, &second).await;
        assert!(said.contains(thing), "{said}");
        hits += usize::from(from_cache);
    }
    let stats = server.get("/api/cache").await;
    let seen = &stats["semantic"][0];
    assert!(hits > 0 && seen["hits"] == json!(hits) && seen["gives"] == "yes", "{hits} {stats}");
    assert_eq!(seen["disagreed"], json!(0), "{stats}");
    assert!(command(&place, &server, &["stats"]).await.contains("by meaning"));
    let turns = server.get("/api/performance/turns").await;
    let turns = turns["data"].as_array().expect("a list");
    assert!(turns.iter().any(|turn| turn["served_from_cache"] == json!(true)), "{turns:?}");
    // What one person told goes into no reply to anybody else, while replies to other words are given.
    let kayak = wordings("kayak");
    Call::by(&server, "ada").await.ask(TOLD).await;
    for question in &kayak {
        assert!(tells(&server, "ada", question).await, "Ada is known");
        for other in ["bob", "ad", ""] {
            for question in &kayak {
                assert!(!tells(&server, other, question).await, "'{other}' hears what Ada told: {question}");
            }
        }
    }
    // What was learned outlives the server, and questions about other things still get other answers.
    server.stop().await;
    let server = place.serve().await;
    assert_eq!(server.get("/api/cache").await["semantic"][0]["gives"], "yes");
    let asked = model.asked.load(Ordering::Relaxed);
    for thing in things {
        let (said, from_cache) = ask(&server, &wordings(thing)[0]).await;
        assert!(said.contains(thing) && !from_cache, "{said}");
    }
    assert!(model.asked.load(Ordering::Relaxed) > asked);
    server.stop().await;
}
