//! Questions that are asked repeatedly, and the entries that are cached for them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::model::{Behaviour, Model, with_models};
use crate::program::{Place, Program};
use crate::realtime_call::RealtimeCall;

/// A call in which the person types questions.
pub(crate) struct Call {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Whether the last reply has been heard to its end.
    listens: bool,
}

impl Call {
    pub(crate) async fn begin(server: &Program) -> Self {
        Self::by(server, "").await
    }

    /// A call by this person; by nobody in particular if the name is empty.
    pub(crate) async fn by(server: &Program, person: &str) -> Self {
        let url = format!("{}/talk/ws?person={person}", server.url.replacen("http", "ws", 1));
        Self { socket: tokio_tungstenite::connect_async(url).await.expect("connects").0, listens: true }
    }

    /// The answer to a question, and whether its words came from the cache.
    pub(crate) async fn ask(&mut self, question: &str) -> (String, bool) {
        // A person who typed earlier would not have heard the last reply, and the agent would then answer
        // both questions.
        while !self.listens {
            self.event().await;
        }
        let typed = json!({ "type": "text", "text": question });
        self.socket.send(Message::text(typed.to_string())).await.expect("sent");
        self.listens = false;
        let (mut said, mut served) = (String::new(), None);
        loop {
            let event = self.event().await;
            match event["type"].as_str() {
                Some("reply_text") => said.push_str(event["delta"].as_str().unwrap_or_default()),
                Some("latency") => served = event["served_from_cache"].as_bool(),
                Some("reply_done") => return (said, served.expect("the turn is measured")),
                _ => {}
            }
        }
    }

    /// The next event from the server that is not audio.
    async fn event(&mut self) -> Value {
        let next = async {
            while let Some(message) = self.socket.next().await {
                let message = message.expect("a message");
                let Ok(event) = serde_json::from_str::<Value>(message.to_text().unwrap_or_default()) else {
                    continue;
                };
                assert_ne!(event["type"], "error", "{event}");
                return event;
            }
            panic!("the server hung up");
        };
        let event = tokio::time::timeout(Duration::from_mins(1), next).await.expect("an answer in time");
        if event["type"] == "phase" {
            self.listens = event["phase"] == "listening";
        }
        event
    }
}

/// The answer to a question typed in a new call, and whether its words came from the cache.
pub(crate) async fn ask(server: &Program, question: &str) -> (String, bool) {
    Call::begin(server).await.ask(question).await
}

async fn place(more: &str) -> (std::sync::Arc<Model>, Place) {
    let (model, url) = Model::start(Behaviour::Says("We open at nine.")).await;
    (model, with_models(Place::with_caches(more), &[&url]))
}

pub(crate) fn of<'a>(stats: &'a Value, cache: &str) -> &'a Value {
    let all = stats["data"].as_array().expect("a list");
    all.iter().find(|one| one["cache"] == cache).unwrap_or_else(|| panic!("no {cache} in {stats}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_again_is_not_made_again() {
    let (model, place) = place("").await;
    let server = place.serve().await;
    let asked = || model.asked.load(Ordering::Relaxed);
    assert_eq!(ask(&server, "When do you open?").await, ("We open at nine.".to_owned(), false));
    assert_eq!(ask(&server, " When do you  open ").await, ("We open at nine.".to_owned(), true));
    assert_eq!(asked(), 1);
    // A clause is stored a moment after it was spoken.
    let mut stats = server.get("/api/cache").await;
    for _ in 0..100 {
        if of(&stats, "speech")["hits"] != json!(0) {
            break;
        }
        assert!(ask(&server, "When do you open?").await.1);
        stats = server.get("/api/cache").await;
    }
    let (reply, speech) = (of(&stats, "reply"), of(&stats, "speech"));
    assert_eq!(reply["misses"], json!(1), "{stats}");
    assert!(
        speech["hits"].as_u64().expect("a count") > 0 && reply["saved_s"].as_f64().expect("s") > 0.0,
        "{stats}"
    );
    let turns = server.get("/api/performance/turns").await;
    assert_eq!(turns["data"][0]["served_from_cache"], json!(true));
    let metrics =
        reqwest::get(format!("{}/metrics", server.url)).await.expect("answers").text().await.expect("text");
    for line in [
        r#"antiphon_cache_requests_total{cache="reply",outcome="hit"} "#,
        r#"antiphon_cache_saved_seconds_total{cache="reply"}"#,
    ] {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }
    // Entries outlive the server.
    server.stop().await;
    let server = place.serve().await;
    assert_eq!(ask(&server, "When do you open?").await, ("We open at nine.".to_owned(), true));
    // Entries that were cleared are made again. While the cache is off, everything is.
    command(&place, &server, &["clear", "--cache", "reply"]).await;
    assert!(!ask(&server, "When do you open?").await.1);
    command(&place, &server, &["disable", "reply"]).await;
    assert!(!ask(&server, "When do you open?").await.1);
    command(&place, &server, &["enable", "reply"]).await;
    assert!(ask(&server, "When do you open?").await.1);
    assert_eq!(asked(), 3);
    server.stop().await;
}

/// Runs `antiphon cache` and returns what it prints.
pub(crate) async fn command(place: &Place, server: &Program, arguments: &[&str]) -> String {
    let arguments = [&["cache"], arguments, &["--url", &server.url]].concat();
    let (code, printed, failed) = place.run(&arguments).await;
    assert_eq!(code, Some(0), "{failed}");
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_fills_and_clears() {
    let (model, place) = place("").await;
    let server = place.serve().await;
    let questions =
        place.write("questions.txt", "# opening hours\nWhen do you open?\n\nsay: One moment, please.\n");
    let printed = command(&place, &server, &["warm", questions.to_str().expect("a path")]).await;
    assert!(printed.contains("2 of 2 prepared"), "{printed}");
    assert_eq!(model.asked.load(Ordering::Relaxed), 1);
    assert!(ask(&server, "When do you open?").await.1, "prepared");
    let stats = command(&place, &server, &["stats"]).await;
    assert!(stats.contains("reply") && stats.contains("memory") && stats.contains("disk"), "{stats}");
    let stats: Value =
        serde_json::from_str(&command(&place, &server, &["stats", "--json"]).await).expect("JSON");
    // The reply is kept twice: for those who ask it aloud and for those who write it.
    assert_eq!(
        (&of(&stats, "reply")["made_ahead"], &of(&stats, "reply")["used_ahead"]),
        (&json!(2), &json!(1))
    );
    // Speech is encoded for the cache beside calls, so that it is listed a moment after it was spoken.
    let listed = async {
        loop {
            let listed = command(&place, &server, &["list", "--cache", "speech"]).await;
            if listed.contains("One moment,") && listed.contains("please.") {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), listed).await.expect("both clauses are listed in time");
    // A single cache is shown and cleared without affecting the others.
    let listed = command(&place, &server, &["list", "--cache", "reply"]).await;
    assert!(listed.contains("When do you open?") && !listed.contains("please."), "{listed}");
    command(&place, &server, &["clear", "--cache", "reply"]).await;
    let left = command(&place, &server, &["list"]).await;
    assert!(!left.contains("When do you open?") && left.contains("please."), "{left}");
    let cleared = command(&place, &server, &["clear-expired"]).await;
    assert!(cleared.contains("0 entries"), "{cleared}");
    // What the agent will say in any case is spoken when the server starts, while this test goes on.
    let spoken = async { while !command(&place, &server, &["list"]).await.contains("Goodbye.") {} };
    tokio::time::timeout(Duration::from_mins(1), spoken).await.expect("spoken in time");
    command(&place, &server, &["clear"]).await;
    assert!(command(&place, &server, &["list"]).await.contains("Nothing"), "all is forgotten");
    let (code, _, failed) = place.run(&["cache", "warm", "nowhere.txt", "--url", &server.url]).await;
    assert!(code == Some(1) && failed.contains("nowhere.txt"), "{failed}");
    server.stop().await;
}

/// The permissions of a file or folder.
fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_says_is_shown_to_nobody_and_gone_once_it_is_cleared() {
    let (_, place) = place("").await;
    let server = place.serve().await;
    Call::by(&server, "ada").await.ask("Where is my zebra?").await;
    Call::begin(&server).await.ask("When do you open?").await;
    let listed = command(&place, &server, &["list"]).await;
    assert!(listed.contains("When do you open?") && listed.contains("(a person's)"), "{listed}");
    let entries = server.get("/api/cache/entries").await.to_string();
    for shown in [listed, entries] {
        assert!(!shown.contains("zebra"), "{shown}");
    }
    let (folder, data) = (place.path("cache"), place.path("performance.db"));
    let files = || std::fs::read_dir(&folder).expect("a folder").map(|file| file.expect("a file").path());
    for path in files().chain([data]) {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(mode(&folder), 0o700);
    command(&place, &server, &["clear"]).await;
    for path in files() {
        let bytes = std::fs::read(&path).expect("readable");
        assert!(!bytes.windows(5).any(|window| window == b"zebra"), "{}", path.display());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_may_do_without() {
    let (model, place) = place("[agent]\ncache = false\n").await;
    let server = place.serve().await;
    for _ in 0..2 {
        assert!(!ask(&server, "When do you open?").await.1);
    }
    assert_eq!(model.asked.load(Ordering::Relaxed), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_when_switched_off() {
    let (_, place) = place("[cache]\nenabled = false\n").await;
    let server = place.serve().await;
    let answer = reqwest::get(format!("{}/api/cache", server.url)).await.expect("answers");
    assert_eq!(answer.status().as_u16(), 404);
    assert!(answer.text().await.expect("text").contains("[cache] enabled"));
    assert!(!place.path("cache").exists());
    server.stop().await;
}

/// The response to a typed question, over OpenAI's protocol in a new session.
async fn response(server: &Program, question: &str, metadata: Value) -> Value {
    let response = json!({ "output_modalities": ["text"], "metadata": metadata });
    RealtimeCall::begin(server).await.ask(question, response).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_openais_protocol_hears_of_the_cache_and_may_do_without() {
    let (model, place) = place("").await;
    let server = place.serve().await;
    let question = "When do you open?";
    let served = |response: &Value| response["metadata"]["antiphon_served_from_cache"].clone();
    assert_eq!(served(&response(&server, question, Value::Null).await), Value::Null);
    assert_eq!(served(&response(&server, question, Value::Null).await), "exact");
    let mine = response(&server, question, json!({ "mine": "1" })).await;
    assert_eq!((served(&mine), &mine["metadata"]["mine"]), (json!("exact"), &json!("1")));
    let anew = response(&server, question, json!({ "antiphon_cache": "off" })).await;
    assert_eq!((served(&anew), &anew["metadata"]["antiphon_cache"]), (Value::Null, &json!("off")));
    assert_eq!(model.asked.load(Ordering::Relaxed), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn speech_may_be_asked_for_anew() {
    let (_, place) = place("[cache]\nwarm = false\n").await;
    let server = place.serve().await;
    let say = async |control: &str| {
        let body = json!({ "model": "any", "voice": "any", "input": "Please hold the line." }).to_string();
        let request = reqwest::Client::new().post(format!("{}/v1/audio/speech", server.url)).body(body);
        let request = request.header("content-type", "application/json").header("cache-control", control);
        assert!(request.send().await.expect("answers").bytes().await.expect("audio").len() > 1_000);
    };
    let counts = async || {
        let stats = server.get("/api/cache").await;
        let speech = of(&stats, "speech");
        (speech["hits"].as_u64().expect("a count"), speech["stored"].as_u64().expect("a count"))
    };
    say("no-cache").await;
    say("private, No-Store").await;
    assert_eq!(counts().await, (0, 0));
    say("max-age=60").await;
    // A clause is stored a moment after it was spoken.
    while counts().await.1 == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    say("max-age=60").await;
    assert!(counts().await.0 > 0);
    server.stop().await;
}
