//! Twilio Media Streams: the webhook, and a call with Twilio's own messages.

use std::time::Duration;

use antiphon_agent::Agent;
use antiphon_audio::Law;
use antiphon_desk::Keys;
use antiphon_providers::scripted::fake::under_way;
use antiphon_server::settings::Settings;
use antiphon_transports::telephony::TelephonySettings;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::tools::{tasks, until};
use crate::support::{Server, engines};

const PATIENCE: Duration = Duration::from_secs(20);
const FORM: &str = "application/x-www-form-urlencoded";
const FRAME: Duration = Duration::from_millis(20);

/// A scripted Twilio at the other end of the connection.
struct Phone {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    sequence: u32,
}

impl Phone {
    async fn dial(server: &Server, path: &str) -> Self {
        let (socket, _) = connect_async(server.socket(path)).await.expect("connects");
        let mut phone = Self { socket, sequence: 0 };
        phone.send(json!({ "event": "connected", "protocol": "Call", "version": "1.0.0" })).await;
        let format = json!({ "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 });
        let start = json!({
            "accountSid": "AC1", "streamSid": "MZ1", "callSid": "CA1", "tracks": ["inbound"],
            "mediaFormat": format, "customParameters": {},
        });
        phone.send(json!({ "event": "start", "start": start, "streamSid": "MZ1" })).await;
        phone
    }

    async fn send(&mut self, mut message: Value) {
        self.sequence += 1;
        message["sequenceNumber"] = json!(self.sequence.to_string());
        self.socket.send(Message::text(message.to_string())).await.expect("sent");
    }

    /// Sends audio in real time, and returns the messages that came meanwhile.
    async fn speaks(&mut self, loud: bool, lasting: Duration) -> Vec<Value> {
        let mut heard = Vec::new();
        let tone: Vec<i16> = (0..160).map(|n| if n / 20 % 2 == 0 { 6_000 } else { -6_000 }).collect();
        let mut mulaw = Vec::new();
        Law::Mu.encode_into(if loud { &tone } else { &[0; 160] }, &mut mulaw);
        let payload = BASE64.encode(&mulaw);
        for n in 0..lasting.as_millis() / FRAME.as_millis() {
            let media = json!({
                "track": "inbound", "chunk": n.to_string(), "timestamp": (n * 20).to_string(), "payload": payload,
            });
            self.send(json!({ "event": "media", "streamSid": "MZ1", "media": media })).await;
            let pause = tokio::time::sleep(FRAME);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    message = self.socket.next() => heard.push(parse(message)),
                }
            }
        }
        heard
    }

    async fn next(&mut self) -> Value {
        parse(tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("in time"))
    }

    async fn until(&mut self, event: &str) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let message = self.next().await;
            let found = message["event"] == event;
            seen.push(message);
            if found {
                return seen;
            }
        }
    }
}

fn parse(message: Option<Result<Message, Error>>) -> Value {
    match message {
        Some(Ok(Message::Text(text))) => serde_json::from_str(&text).expect("JSON"),
        other => panic!("no text: {other:?}"),
    }
}

/// The length of the audio in these messages, in seconds.
fn seconds(messages: &[Value]) -> f64 {
    let media = messages.iter().filter(|message| message["event"] == "media");
    let bytes: usize = media
        .map(|message| {
            assert_eq!(message["streamSid"], "MZ1");
            BASE64.decode(message["media"]["payload"].as_str().expect("a payload")).expect("base64").len()
        })
        .sum();
    bytes as f64 / 8_000.0
}

fn server() -> Server {
    Server::start_speaking(Settings::default())
}

#[tokio::test]
async fn a_caller_is_heard_answered_and_may_interrupt() {
    let server = server();
    for path in ["/telephony/twilio/media", "/ws"] {
        let mut phone = Phone::dial(&server, path).await;
        phone.speaks(true, Duration::from_millis(1_100)).await;
        let mut answer = phone.speaks(false, Duration::from_millis(1_500)).await;
        if !answer.iter().any(|message| message["event"] == "mark") {
            answer.extend(phone.until("mark").await);
        }
        assert!(seconds(&answer) > 0.2, "one word: {} s", seconds(&answer));

        phone
            .send(
                json!({ "event": "dtmf", "streamSid": "MZ1", "dtmf": { "track": "inbound", "digit": "5" } }),
            )
            .await;
        // The reply repeats the keypress letter by letter, which makes it long. It begins when no other key follows.
        phone.until("media").await;
        let heard = phone.speaks(true, Duration::from_millis(1_500)).await;
        assert!(heard.iter().any(|message| message["event"] == "clear"), "{heard:#?}");
        phone.send(json!({ "event": "mark", "streamSid": "MZ1", "mark": { "name": "x" } })).await;
        phone.send(json!({ "event": "stop", "streamSid": "MZ1", "stop": { "callSid": "CA1" } })).await;
        until("the call is over", || server.app.desk.calls.active() == 0).await;
    }
    until("all work is dropped", || under_way() == 0).await;
}

#[tokio::test]
async fn nonsense_does_not_end_a_call_but_a_stream_that_never_starts_ends() {
    let server = server();
    let mut phone = Phone::dial(&server, "/ws").await;
    for nonsense in [
        "{",
        "[]",
        "{\"event\":7}",
        "{\"event\":\"media\"}",
        "{\"event\":\"media\",\"media\":{\"payload\":\"?\"}}",
    ] {
        phone.socket.send(Message::text(nonsense)).await.expect("sent");
    }
    phone.socket.send(Message::binary(vec![1, 2, 3])).await.expect("sent");
    phone.speaks(true, Duration::from_millis(1_100)).await;
    phone.speaks(false, Duration::from_millis(800)).await;
    assert_eq!(server.app.desk.calls.active(), 1, "the call goes on");
    drop(phone);
    until("the call is over", || server.app.desk.calls.active() == 0).await;

    let (mut silent, _) = connect_async(server.socket("/ws")).await.expect("connects");
    silent.send(Message::text("{\"event\":\"start\"}")).await.expect("sent");
    let end = tokio::time::timeout(PATIENCE, silent.next()).await.expect("ended in time");
    assert!(matches!(end, None | Some(Err(_) | Ok(Message::Close(_)))), "{end:?}");
    until("the call is over", || server.app.desk.calls.active() == 0).await;
}

#[tokio::test]
async fn calls_end_when_the_server_stops() {
    let settings = Settings { drain: Duration::ZERO, ..Settings::default() };
    let server = Server::start_speaking(settings);
    let before = tasks();
    let mut phone = Phone::dial(&server, "/ws").await;
    phone.speaks(false, Duration::from_millis(100)).await;
    let app = server.app.clone();
    let stopping = tokio::spawn(server.stop());
    let end = tokio::time::timeout(PATIENCE, phone.socket.next()).await.expect("in time");
    assert!(matches!(end, Some(Ok(Message::Close(_)))), "{end:?}");
    drop(phone);
    stopping.await.expect("stopped");
    let metrics = app.metrics.encode().expect("text");
    assert!(
        metrics.contains("antiphon_calls_total{transport=\"twilio\",outcome=\"drained\"} 1"),
        "{metrics}"
    );
    until("no task is left", || tasks() < before).await;
}

/// Reads to the end of the connection; returns the code of its close message.
async fn ending(phone: &mut Phone) -> Option<CloseCode> {
    let mut code = None;
    loop {
        match tokio::time::timeout(PATIENCE, phone.socket.next()).await.expect("in time") {
            Some(Ok(Message::Close(frame))) => code = frame.map(|frame| frame.code),
            Some(message) => drop(message.expect("no error")),
            None => return code,
        }
    }
}

#[tokio::test]
async fn the_end_of_a_stream_is_answered_however_it_ends() {
    let server = server();
    let mut phone = Phone::dial(&server, "/ws").await;
    phone.send(json!({ "event": "stop", "streamSid": "MZ1" })).await;
    assert_eq!(ending(&mut phone).await, Some(CloseCode::Normal));
    let mut phone = Phone::dial(&server, "/ws").await;
    phone.socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).await.expect("sent");
    assert_eq!(ending(&mut phone).await, Some(CloseCode::Normal));
    let (socket, _) = connect_async(server.socket("/ws")).await.expect("connects");
    let mut phone = Phone { socket, sequence: 0 };
    phone.socket.send(Message::text("{\"event\":\"start\"}")).await.expect("sent");
    assert_eq!(ending(&mut phone).await, Some(CloseCode::Policy), "it could not be served");
}

#[tokio::test]
async fn a_caller_who_is_cut_off_by_a_stop_hears_the_goodbye() {
    let settings = Settings { drain: Duration::from_secs(3), ..Settings::default() };
    let mut agent = Agent::default();
    agent.session.sayings.goodbye = "Goodbye.".to_owned();
    let server = Server::start_with(settings, agent, engines());
    let mut phone = Phone::dial(&server, "/ws").await;
    phone.speaks(false, Duration::from_millis(100)).await;
    let stopping = tokio::spawn(server.stop());
    let heard = phone.until("mark").await;
    // Eight letters of 50 ms each.
    assert!(seconds(&heard) > 0.3, "{} s", seconds(&heard));
    assert_eq!(ending(&mut phone).await, Some(CloseCode::Normal));
    stopping.await.expect("stopped");
}

#[tokio::test]
async fn the_webhook_connects_the_call_and_signatures_are_checked() {
    let open = server();
    let twiml = async |form: &'static str| {
        let post = reqwest::Client::new().post(open.url("/telephony/twilio")).header("content-type", FORM);
        let answer = post.body(form).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/xml; charset=utf-8");
        answer.text().await.unwrap()
    };
    let stream = |parameter: &str| {
        format!("<Stream url=\"ws://{}/telephony/twilio/media\">{parameter}</Stream>", open.address)
    };
    let known = twiml("CallSid=CA1&From=%2B15550100").await;
    assert!(known.contains(&stream("<Parameter name=\"from\" value=\"+15550100\"/>")), "{known}");
    let called = twiml("CallSid=CA1&To=%2B15550199").await;
    assert!(called.contains(&stream("<Parameter name=\"to\" value=\"+15550199\"/>")), "{called}");
    for form in ["CallSid=CA1", "CallSid=CA1&From=%22%2F%3E%3CDial%3E"] {
        let unknown = twiml(form).await;
        assert!(unknown.contains(&stream("")), "{unknown}");
    }

    let telephony = TelephonySettings {
        public_url: Some("https://voice.example.com".parse().unwrap()),
        twilio_auth_token: Some("12345".to_owned()),
        ..TelephonySettings::default()
    };
    let signed = Server::start(Settings { telephony, keys: Keys::new(["sk-1"]), ..Settings::default() });
    let post = |signature: &str| {
        let client = reqwest::Client::new();
        let post =
            client.post(signed.url("/telephony/twilio")).header("content-type", FORM).body("CallSid=CA1");
        post.header("x-twilio-signature", signature).send()
    };
    assert_eq!(post("AAAA").await.unwrap().status(), 403);
    // Computed with: printf 'https://voice.example.com/telephony/twilioCallSidCA1' | openssl dgst -sha1 -hmac 12345
    // -binary | base64
    let answer = post("NcBVNYw87W+ih8+cXhbk+2OKXcA=").await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().contains("wss://voice.example.com/telephony/twilio/media"));
    let Err(Error::Http(refused)) = connect_async(signed.socket("/ws")).await else { panic!("not let in") };
    assert_eq!(refused.status(), 403);
}

#[tokio::test]
async fn a_caller_over_the_limit_hears_that_it_is_busy_and_the_call_in_progress_goes_on() {
    let server = Server::start_speaking(Settings { max_calls: 1, ..Settings::default() });
    let mut phone = Phone::dial(&server, "/telephony/twilio/media").await;
    until("the call is held", || server.app.desk.calls.active() == 1).await;
    let webhook = async || {
        let client = reqwest::Client::new();
        let post =
            client.post(server.url("/telephony/twilio")).header("content-type", FORM).body("CallSid=CA2");
        post.send().await.unwrap().text().await.unwrap()
    };
    let busy = webhook().await;
    assert!(busy.contains("<Response><Reject reason=\"busy\"/></Response>"), "{busy}");
    let Err(Error::Http(refused)) = connect_async(server.socket("/ws")).await else { panic!("not let in") };
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));
    phone.speaks(true, Duration::from_millis(400)).await;
    assert_eq!(server.app.desk.calls.active(), 1, "nobody was cut off");
    phone.send(json!({ "event": "stop", "streamSid": "MZ1" })).await;
    until("the line is free", || server.app.desk.calls.active() == 0).await;
    assert!(webhook().await.contains("<Stream"), "the next is let in");
}

#[tokio::test]
async fn a_caller_over_the_limit_is_told_what_the_business_says_to_such_callers() {
    let busy_message = Some("Smith & Sons: all lines are busy.".to_owned());
    let telephony = TelephonySettings { busy_message, ..TelephonySettings::default() };
    let server = Server::start_speaking(Settings { max_calls: 1, telephony, ..Settings::default() });
    let _phone = Phone::dial(&server, "/telephony/twilio/media").await;
    until("the call is held", || server.app.desk.calls.active() == 1).await;
    let post = reqwest::Client::new().post(server.url("/telephony/twilio")).header("content-type", FORM);
    let busy = post.body("CallSid=CA2").send().await.unwrap().text().await.unwrap();
    assert!(busy.contains("<Say>Smith &amp; Sons: all lines are busy.</Say><Hangup/>"), "{busy}");
}
