use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use antiphon_core::{Error, ErrorKind, Requester, lock};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::SinkExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::ErrorResponse;

use super::*;
use crate::remote::scripted::{KEY, SAMPLES, Server, bytes, say, sockets, speech, until};

type Socket = WebSocketStream<TcpStream>;

fn cartesia(url: &str, bounds: Bounds) -> Cartesia {
    let (base_url, api_key) = (url.to_owned(), ApiKey::new(KEY));
    Cartesia::new(CartesiaOptions { base_url, api_key, bounds, ..CartesiaOptions::default() }).expect("made")
}

async fn hello(voice: &Cartesia) -> Result<Vec<i16>> {
    say(voice, SpeechRequest::new(Requester::local(), "Hello.")).await
}

/// The client's next message; `None` when the client is gone.
async fn asked(socket: &mut Socket) -> Option<Value> {
    match socket.next().await? {
        Ok(Message::Text(text)) => Some(serde_json::from_str(&text).expect("JSON")),
        _ => None,
    }
}

fn id(request: &Value) -> String {
    request["context_id"].as_str().expect("an id").to_owned()
}

async fn tell(socket: &mut Socket, message: Value) {
    let _ = socket.send(Message::text(message.to_string())).await;
}

fn chunk(id: &str, bytes: &[u8]) -> Value {
    json!({ "type": "chunk", "data": BASE64_STANDARD.encode(bytes), "done": false, "status_code": 206,
        "step_time": 31.5, "context_id": id })
}

fn done(id: &str) -> Value {
    json!({ "type": "done", "done": true, "status_code": 206, "context_id": id })
}

fn refusal(id: Option<&str>, status: u16, error: &str) -> Value {
    json!({ "type": "error", "done": true, "status_code": status, "error": error, "context_id": id })
}

/// A server that sends the same audio for every clause.
async fn good() -> Server {
    sockets(None, |_, mut socket| async move {
        while let Some(request) = asked(&mut socket).await {
            if request["cancel"] == true {
                continue;
            }
            let id = id(&request);
            let audio = bytes(&speech());
            tell(&mut socket, chunk(&id, &audio[..4_001])).await;
            tell(&mut socket, json!({ "type": "timestamps", "context_id": id })).await;
            tell(&mut socket, chunk(&id, &audio[4_001..])).await;
            tell(&mut socket, done(&id)).await;
        }
    })
    .await
}

/// A server that answers the first clause of each connection with what `answers` returns for its id,
/// then breaks the connection.
async fn answering(answers: fn(&str) -> Vec<Value>) -> Server {
    sockets(None, move |_, mut socket| async move {
        if let Some(request) = asked(&mut socket).await {
            for answer in answers(&id(&request)) {
                tell(&mut socket, answer).await;
            }
        }
    })
    .await
}

/// Advances the clock by this span.
async fn later(span: Duration) {
    tokio::time::pause();
    tokio::time::advance(span + Duration::from_secs(1)).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    tokio::time::resume();
}

fn counter(voice: &Cartesia, name: &str) -> u64 {
    let counters = voice.component().counters();
    counters.iter().find(|counter| counter.name == name).expect("counted").value
}

#[tokio::test]
async fn its_speed_reaches_the_server() {
    let (told, mut speeds) = tokio::sync::mpsc::unbounded_channel();
    let server = sockets(None, move |_, mut socket| {
        let told = told.clone();
        async move {
            while let Some(request) = asked(&mut socket).await {
                let _ = told.send(request["generation_config"]["speed"].clone());
                let id = id(&request);
                tell(&mut socket, chunk(&id, &bytes(&SAMPLES))).await;
                tell(&mut socket, done(&id)).await;
            }
        }
    })
    .await;
    let (base_url, api_key, settings) =
        (server.url.clone(), ApiKey::new(KEY), CartesiaSettings { speed: 1.2 });
    let options = CartesiaOptions { base_url, api_key, settings, ..CartesiaOptions::default() };
    hello(&Cartesia::new(options).expect("made")).await.expect("said");
    assert_eq!(speeds.recv().await, Some(json!(1.2)));
}

#[tokio::test]
async fn it_obeys_the_spec_on_one_connection() {
    let server = good().await;
    let voice = cartesia(&server.url, Bounds::default());
    crate::spec::tts(&voice).await;
    let asked = server.asked();
    assert_eq!((asked.len(), counter(&voice, "connections")), (1, 1));
    assert!(asked[0].starts_with("/tts/websocket?cartesia_version=2025-04-16"), "{asked:?}");
    assert!(asked[0].contains("\"x-api-key\": \"s3cret\""), "{asked:?}");
}

#[tokio::test]
async fn twenty_clauses_on_one_connection_arrive_each_whole() {
    const CLAUSES: usize = 20;
    let server = sockets(None, |_, mut socket| async move {
        let mut clauses = Vec::new();
        while clauses.len() < CLAUSES {
            let Some(request) = asked(&mut socket).await else { return };
            let number: i16 = request["transcript"].as_str().expect("text").parse().expect("a number");
            clauses.push((id(&request), bytes(&[-number; 500])));
        }
        // A chunk for an unknown clause is ignored.
        tell(&mut socket, chunk("nobody", &[0; 64])).await;
        for at in (0..1_000).step_by(50) {
            for (id, audio) in &clauses {
                tell(&mut socket, chunk(id, &audio[at..at + 50])).await;
            }
        }
        for (id, _) in &clauses {
            tell(&mut socket, done(id)).await;
        }
        let _ = asked(&mut socket).await;
    })
    .await;
    let voice = cartesia(&server.url, Bounds::default());
    let said =
        join_all((1..=CLAUSES).map(|n| say(&voice, SpeechRequest::new(Requester::local(), n.to_string()))))
            .await;
    for (number, said) in (1..).zip(said) {
        assert_eq!(said.expect("whole"), [-number; 500], "clause {number}");
    }
    assert_eq!(counter(&voice, "connections"), 1);
    until(|| voice.component().levels()[0].value == 0.0).await;
}

#[tokio::test]
async fn one_that_is_dropped_is_cancelled_and_the_others_go_on() {
    let cancelled = Arc::<Mutex<Vec<Value>>>::default();
    let log = cancelled.clone();
    let server = sockets(None, move |_, mut socket| {
        let log = log.clone();
        async move {
            let mut ids = HashMap::new();
            while ids.len() < 2 {
                let request = asked(&mut socket).await.expect("a clause");
                tell(&mut socket, chunk(&id(&request), &bytes(&SAMPLES))).await;
                ids.insert(request["transcript"].as_str().expect("text").to_owned(), id(&request));
            }
            let cancel = asked(&mut socket).await.expect("a cancellation");
            lock(&log).push(cancel.clone());
            assert_eq!(id(&cancel), ids["First."]);
            // Audio of the cancelled clause that was on its way.
            tell(&mut socket, chunk(&ids["First."], &[0; 64])).await;
            tell(&mut socket, chunk(&ids["Second."], &bytes(&SAMPLES))).await;
            tell(&mut socket, done(&ids["Second."])).await;
            let _ = asked(&mut socket).await;
        }
    })
    .await;
    let voice = cartesia(&server.url, Bounds::default());
    let mut first = voice.speak(SpeechRequest::new(Requester::local(), "First."));
    let mut second = voice.speak(SpeechRequest::new(Requester::local(), "Second."));
    assert_eq!(*first.next().await.expect("audio").expect("works").samples, SAMPLES);
    let begun = second.next().await.expect("audio").expect("works");
    assert_eq!(*begun.samples, SAMPLES);
    drop(first);
    let rest: Vec<_> = second.map(|chunk| chunk.expect("works").samples.to_vec()).collect().await;
    assert_eq!(rest.concat(), SAMPLES);
    let cancelled = lock(&cancelled).clone();
    assert!(cancelled.len() == 1 && cancelled[0]["cancel"] == true, "{cancelled:?}");
    assert_eq!(counter(&voice, "cancelled"), 1);
}

#[tokio::test]
async fn a_connection_that_dies_fails_its_clauses_and_the_next_is_new() {
    let server = sockets(None, |number, mut socket| async move {
        let mut ids = Vec::new();
        let clauses = if number == 0 { 3 } else { 1 };
        while ids.len() < clauses {
            let Some(request) = asked(&mut socket).await else { return };
            tell(&mut socket, chunk(&id(&request), &bytes(&SAMPLES))).await;
            ids.push(id(&request));
        }
        if number > 0 {
            tell(&mut socket, done(&ids[0])).await;
            let _ = asked(&mut socket).await;
        }
    })
    .await;
    let voice = cartesia(&server.url, Bounds::default());
    for failed in join_all((0..3).map(|_| hello(&voice))).await {
        assert_eq!(failed.expect_err("broken off").kind(), ErrorKind::Unavailable);
    }
    assert_eq!(hello(&voice).await.expect("a new connection"), SAMPLES);
    assert_eq!(counter(&voice, "connections"), 2);
}

#[tokio::test]
async fn a_clause_never_ends_short_without_an_error() {
    type Answers = fn(&str) -> Vec<Value>;
    let cases: [(Answers, ErrorKind, &str); 10] = [
        (|id| vec![chunk(id, &bytes(&SAMPLES))], ErrorKind::Unavailable, "broke off"),
        (|id| vec![chunk(id, &bytes(&SAMPLES)[1..]), done(id)], ErrorKind::Unavailable, "broke off"),
        (|id| vec![done(id)], ErrorKind::Protocol, "no audio"),
        (
            |id| vec![chunk(id, b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0"), done(id)],
            ErrorKind::Protocol,
            "WAV",
        ),
        (
            |id| vec![json!({ "type": "chunk", "data": "??", "context_id": id })],
            ErrorKind::Protocol,
            "base64",
        ),
        (|_| vec![json!("no object")], ErrorKind::Protocol, "JSON"),
        (|id| vec![refusal(Some(id), 402, "Payment required")], ErrorKind::Unauthorized, "Payment required"),
        (|id| vec![refusal(Some(id), 404, "Voice not found: x")], ErrorKind::NotFound, "Voice not found"),
        (|_| vec![refusal(None, 429, "Too many requests")], ErrorKind::RateLimited, "Too many requests"),
        (|id| vec![refusal(Some(id), 401, "Bad key s3cret")], ErrorKind::Unauthorized, "Bad key (the key)"),
    ];
    for (answers, kind, said) in cases {
        let server = answering(answers).await;
        let error = hello(&cartesia(&server.url, Bounds::default())).await.expect_err(said);
        assert_eq!(error.kind(), kind, "{said}: {error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn one_bad_clause_leaves_the_others_alone() {
    let server = sockets(None, |_, mut socket| async move {
        while let Some(request) = asked(&mut socket).await {
            let id = id(&request);
            match request["transcript"].as_str() {
                Some("Bad.") => tell(&mut socket, chunk(&id, b"<html><body>Sorry</body>")).await,
                Some("Refused.") => tell(&mut socket, refusal(Some(&id), 400, "Invalid transcript")).await,
                Some(_) => {
                    tell(&mut socket, chunk(&id, &bytes(&SAMPLES))).await;
                    tell(&mut socket, done(&id)).await;
                }
                None => {}
            }
        }
    })
    .await;
    let voice = cartesia(&server.url, Bounds::default());
    let (bad, refused, good) = tokio::join!(
        say(&voice, SpeechRequest::new(Requester::local(), "Bad.")),
        say(&voice, SpeechRequest::new(Requester::local(), "Refused.")),
        hello(&voice)
    );
    assert!(bad.expect_err("no audio").to_string().contains("HTML"));
    assert_eq!(refused.expect_err("refused").kind(), ErrorKind::Invalid);
    assert_eq!(good.expect("good"), SAMPLES);
    assert_eq!(counter(&voice, "connections"), 1);
}

#[tokio::test]
async fn a_call_that_does_not_listen_keeps_nobody_waiting() {
    let server = sockets(None, |_, mut socket| async move {
        while let Some(request) = asked(&mut socket).await {
            let id = id(&request);
            let minutes = if request["transcript"] == "Long." { 10 } else { 1 };
            if request["cancel"] == true {
                continue;
            }
            for _ in 0..minutes * 30 {
                tell(&mut socket, chunk(&id, &vec![0; 2 * 24_000 * 2])).await;
            }
            tell(&mut socket, done(&id)).await;
        }
    })
    .await;
    let voice = cartesia(&server.url, Bounds::default());
    let mut slow = voice.speak(SpeechRequest::new(Requester::local(), "Long."));
    let first = slow.next().await.expect("audio").expect("works");
    let minute = hello(&voice).await.expect("nobody waits for the slow one").len();
    assert_eq!(minute, 60 * 24_000);
    let rest: Vec<Result<AudioChunk>> = slow.collect().await;
    let waited: Duration = rest.iter().flatten().map(AudioChunk::duration).sum();
    assert!(waited <= Duration::from_mins(2) && first.duration() <= Duration::from_mins(2));
    let error: Option<&Error> = rest.last().and_then(|last| last.as_ref().err());
    assert!(error.is_some_and(|error| error.to_string().contains("120 s")), "{error:?}");
    assert_eq!(counter(&voice, "cancelled"), 1);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left() {
    let server = sockets(None, |number, mut socket| async move {
        while let Some(request) = asked(&mut socket).await {
            if number > 0 {
                tell(&mut socket, chunk(&id(&request), &bytes(&SAMPLES))).await;
                tell(&mut socket, done(&id(&request))).await;
            }
        }
    })
    .await;
    let voice = Arc::new(cartesia(&server.url, Bounds::default()));
    let waiting = tokio::spawn({
        let voice = voice.clone();
        async move { hello(&voice).await }
    });
    until(|| voice.component().levels()[0].value == 1.0).await;
    later(Bounds::default().first).await;
    assert_eq!(waiting.await.expect("ran").expect_err("nothing came").kind(), ErrorKind::Timeout);
    assert_eq!(hello(&voice).await.expect("another connection"), SAMPLES);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn one_clause_that_stalls_is_cancelled_alone() {
    let server = sockets(None, |_, mut socket| async move {
        let first = asked(&mut socket).await.expect("a clause");
        let second = asked(&mut socket).await.expect("a clause");
        let (stalling, going) = if first["transcript"] == "Stall." {
            (id(&first), id(&second))
        } else {
            (id(&second), id(&first))
        };
        tell(&mut socket, chunk(&stalling, &bytes(&SAMPLES))).await;
        let cancel = loop {
            tell(&mut socket, chunk(&going, &[0; 32])).await;
            let next = tokio::time::timeout(Duration::from_millis(10), asked(&mut socket)).await;
            if let Ok(Some(cancel)) = next {
                break cancel;
            }
        };
        assert_eq!(id(&cancel), stalling);
        tell(&mut socket, done(&going)).await;
        let _ = asked(&mut socket).await;
    })
    .await;
    let voice = cartesia(&server.url, Bounds { between: Duration::from_secs(2), ..Bounds::default() });
    let (stalled, went) =
        tokio::join!(say(&voice, SpeechRequest::new(Requester::local(), "Stall.")), hello(&voice));
    assert_eq!(stalled.expect_err("stalled").kind(), ErrorKind::Timeout);
    assert!(!went.expect("went on").is_empty());
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_the_next_clause_makes_another() {
    let server = good().await;
    let voice = cartesia(&server.url, Bounds::default());
    hello(&voice).await.expect("said");
    later(Duration::from_secs(290)).await;
    assert!(hello(&voice).await.expect("said").len() == speech().len());
    assert_eq!(counter(&voice, "connections"), 2);
}

#[tokio::test]
async fn a_refused_connection_says_why() {
    let refuse: fn() -> ErrorResponse = || {
        let mut response = ErrorResponse::new(Some("Unauthorized: Invalid API key".to_owned()));
        *response.status_mut() = reqwest::StatusCode::UNAUTHORIZED;
        response
    };
    let server = sockets(Some(refuse), |_, _| async {}).await;
    let voice = cartesia(&server.url, Bounds::default());
    for refused in join_all((0..3).map(|_| hello(&voice))).await {
        assert_eq!(refused.expect_err("refused").kind(), ErrorKind::Unauthorized);
    }
    let gone = hello(&cartesia("http://127.0.0.1:9", Bounds::default())).await;
    assert_eq!(gone.expect_err("nobody there").kind(), ErrorKind::Unavailable);
}

#[test]
fn options_are_checked_and_keep_their_key() {
    let good = || CartesiaOptions { api_key: ApiKey::new(KEY), ..CartesiaOptions::default() };
    assert!(!format!("{:?}", good()).contains(KEY));
    let refused = |options| Cartesia::new(options).err().expect("refused").to_string();
    assert!(refused(CartesiaOptions::default()).contains("api_key is empty"));
    let rate = SampleRate::new(11_025).expect("a rate");
    assert!(refused(CartesiaOptions { rate, ..good() }).contains("11025"));
    assert!(refused(CartesiaOptions { voices: Vec::new(), ..good() }).contains("voice"));
}
