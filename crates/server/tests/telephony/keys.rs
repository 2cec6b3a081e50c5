//! The keys that callers press on their telephones: those pressed in one go are one turn. All of it runs in virtual time, which
//! jumps to the next frame or key whenever everything waits, but stands still while a key is on its way.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_agent::{Agent, Engines};
use antiphon_core::{BoxStream, ChatDelta, ChatRequest, FinishReason, Llm, LlmCard, Result, Usage, lock};
use antiphon_server::settings::Settings;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::{SinkExt, StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::tools::until;
use crate::support::{Server, engines};

const FRAME: Duration = Duration::from_millis(20);
/// 20 ms of silence in G.711's μ-law.
const SILENCE: [u8; 160] = [0xFF; 160];
/// Long enough for a turn to begin, for its answer, and for the silence after it.
const AFTERWARDS: Duration = Duration::from_secs(3);

/// A language model that thanks for everything, and keeps the last words of each request.
#[derive(Default)]
struct Thankful(Arc<Mutex<Vec<String>>>);

impl Llm for Thankful {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "thankful", model: "thankful" }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let last = request.messages.last().map(|message| message.content.clone()).unwrap_or_default();
        lock(&self.0).push(last);
        let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
        stream::iter([Ok(ChatDelta::Text("Thank you.".to_owned())), Ok(done)]).boxed()
    }
}

/// The telephone companies whose messages are played.
#[derive(Clone, Copy, Debug)]
enum Company {
    Twilio,
    Telnyx,
}

impl Company {
    fn path(self) -> &'static str {
        match self {
            Self::Twilio => "/telephony/twilio/media",
            Self::Telnyx => "/telephony/telnyx/media",
        }
    }

    /// The message that begins the stream.
    fn start(self) -> Value {
        match self {
            Self::Twilio => {
                let format = json!({ "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 });
                let start = json!({
                    "accountSid": "AC0", "streamSid": "MZ1", "callSid": "CA1", "tracks": ["inbound"],
                    "mediaFormat": format, "customParameters": {},
                });
                json!({ "event": "start", "sequenceNumber": "1", "start": start, "streamSid": "MZ1" })
            }
            Self::Telnyx => {
                let format = json!({ "encoding": "PCMU", "sample_rate": 8000, "channels": 1 });
                let start = json!({ "call_control_id": "v3:1", "media_format": format });
                json!({ "event": "start", "sequence_number": "1", "start": start, "stream_id": "32DE" })
            }
        }
    }

    /// A frame of silence.
    fn frame(self, number: u64) -> Value {
        let media = json!({
            "track": "inbound", "chunk": number.to_string(), "timestamp": (number * 20).to_string(), "payload": BASE64.encode(SILENCE),
        });
        self.message("media", &media)
    }

    fn key(self, key: char) -> Value {
        self.message("dtmf", &json!({ "track": "inbound", "digit": key }))
    }

    fn message(self, event: &str, content: &Value) -> Value {
        let stream = match self {
            Self::Twilio => ("streamSid", "MZ1"),
            Self::Telnyx => ("stream_id", "32DE"),
        };
        json!({ "event": event, event: content, stream.0: stream.1 })
    }
}

/// A caller who says nothing and hears everything.
struct Caller {
    company: Company,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    frames: u64,
    /// How many messages with audio have come.
    heard: usize,
}

impl Caller {
    async fn dial(server: &Server, company: Company) -> Self {
        let (socket, _) = connect_async(server.socket(company.path())).await.expect("connects");
        let mut caller = Self { company, socket, frames: 0, heard: 0 };
        caller.send(json!({ "event": "connected", "protocol": "Call", "version": "1.0.0" })).await;
        caller.send(company.start()).await;
        caller
    }

    async fn send(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.expect("sent");
    }

    async fn next(&mut self) -> Message {
        let message = self.socket.next().await.expect("the call goes on").expect("a message");
        self.heard += usize::from(message.to_text().is_ok_and(|text| text.contains("\"media\"")));
        message
    }

    /// Stays silent for a while, as the line does: in frames.
    async fn waits(&mut self, lasting: Duration) {
        let end = Instant::now() + lasting;
        while Instant::now() < end {
            self.frames += 1;
            self.send(self.company.frame(self.frames)).await;
            let next = Instant::now() + FRAME;
            while timeout_at(next, self.next()).await.is_ok() {}
        }
    }

    /// Presses a key, which the server has when it answers the ping behind it.
    async fn presses(&mut self, key: char) {
        let arrives = async {
            self.send(self.company.key(key)).await;
            self.socket.send(Message::Ping(Bytes::new())).await.expect("sent");
            while !self.next().await.is_pong() {}
        };
        standing_still(arrives).await;
    }
}

/// Does this work while virtual time stands still, as it does while a blocking thread works.
async fn standing_still(work: impl Future<Output = ()>) {
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    // The sender is dropped when the work is done, which ends the thread.
    let holds = tokio::task::spawn_blocking(move || is_done.recv());
    work.await;
    drop(done);
    holds.await.expect("ended").expect_err("nothing is sent");
}

/// The turns that come of these keys, each pressed so many milliseconds after the one before.
async fn turns(company: Company, keys: &str, gap: u64) -> Vec<String> {
    let model = Thankful::default();
    let asked = model.0.clone();
    let engines = Engines { llm: Arc::new(model), ..engines() };
    let server = Server::start_with(Settings::default(), Agent::default(), engines);
    let mut caller = Caller::dial(&server, company).await;
    caller.waits(Duration::from_millis(500)).await;
    for key in keys.chars() {
        caller.presses(key).await;
        caller.waits(Duration::from_millis(gap)).await;
    }
    caller.waits(AFTERWARDS).await;
    assert!(caller.heard > 0, "{company:?} {keys} {gap}: the caller is answered");
    drop(caller);
    until("the call is over", || server.app.desk.calls.active() == 0).await;
    lock(&asked).clone()
}

fn pressed(keys: &str) -> String {
    format!("(pressed {keys} on the keypad)")
}

#[tokio::test(start_paused = true)]
async fn keys_pressed_in_one_go_are_one_turn() {
    for company in [Company::Twilio, Company::Telnyx] {
        for gap in [20, 250, 1_200] {
            for (keys, turn) in [("4821#", "4821"), ("4821", "4821"), ("48*21#", "48*21"), ("#", "#")] {
                assert_eq!(turns(company, keys, gap).await, [pressed(turn)], "{company:?} {keys} {gap}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_the_end_key_and_the_length_of_any_number_separate_turns() {
    for company in [Company::Twilio, Company::Telnyx] {
        assert_eq!(turns(company, "12", 4_000).await, ["1", "2"].map(pressed), "{company:?}");
        assert_eq!(turns(company, "1#2#", 4_000).await, ["1", "#", "2", "#"].map(pressed), "{company:?}");
        let endless = turns(company, &"1".repeat(150), 200).await;
        assert_eq!(endless.len(), 3, "{company:?}: {endless:?}");
        assert!(endless.iter().all(|turn| turn.len() < 300), "{company:?}: {endless:?}");
    }
}
