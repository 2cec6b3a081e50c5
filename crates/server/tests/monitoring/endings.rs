//! How calls end at every door: what the client is answered, and whether the call counts as completed or as lost.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::program::{PATIENCE, Place, Program};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Each door: its path, its name in the metrics, and the message that begins a call.
const DOORS: [(&str, &str, Option<&str>); 4] = [
    ("/talk/ws", "talk", None),
    ("/v1/realtime?model=m", "realtime", None),
    (
        "/telephony/twilio/media",
        "twilio",
        Some(
            r#"{"event":"start","streamSid":"MZ1","start":{"streamSid":"MZ1","callSid":"CA1","accountSid":"AC1","tracks":["inbound"],"customParameters":{},"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}}}"#,
        ),
    ),
    (
        "/telephony/telnyx/media",
        "telnyx",
        Some(
            r#"{"event":"start","stream_id":"S1","start":{"call_control_id":"C1","media_format":{"encoding":"PCMU","sample_rate":8000,"channels":1}}}"#,
        ),
    ),
];

/// With these codes clients close: having done what they came for, leaving the page, for a reason of their own, and without one
/// (RFC 6455, section 7.4).
const CODES: [Option<CloseCode>; 4] =
    [Some(CloseCode::Normal), Some(CloseCode::Away), Some(CloseCode::Library(4_000)), None];
/// What a call can be asked over Realtime, where the agent does not speak first.
const REPLY: &str = r#"{"type":"response.create","response":{"instructions":"Tell a story."}}"#;

/// How a client may go.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// It closes the WebSocket.
    Close,
    /// Its connection ends without a close message, as when its program is killed.
    End,
    /// Its connection is reset.
    Reset,
}

async fn begin(server: &Program, path: &str, first: Option<&str>) -> Client {
    let url = format!("{}{path}", server.url.replacen("http", "ws", 1));
    let (mut client, _) = connect_async(url).await.expect("connects");
    if let Some(first) = first {
        client.send(Message::text(first)).await.expect("sent");
    }
    client
}

async fn end(mut client: Client, ending: Ending) {
    match ending {
        Ending::Close => client.close(None).await.expect("closed"),
        Ending::End => {}
        Ending::Reset => {
            let MaybeTlsStream::Plain(stream) = client.get_ref() else { panic!("it is encrypted") };
            SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("set");
        }
    }
}

/// Waits until the metrics have this line.
async fn says(server: &Program, line: &str) {
    let mut metrics = String::new();
    let waiting = async {
        loop {
            let answer = reqwest::get(format!("{}/metrics", server.url)).await.expect("it answers");
            metrics = answer.text().await.expect("text");
            if metrics.lines().any(|found| found == line) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, waiting).await;
    let calls: Vec<&str> = metrics.lines().filter(|line| line.starts_with("antiphon_calls")).collect();
    assert!(in_time.is_ok(), "no {line} in {calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_cut_off_is_lost_and_one_that_was_closed_is_completed() {
    let place = Place::new("");
    let server = place.serve().await;
    for (path, door, first) in DOORS {
        for (ending, outcome, count) in
            [(Ending::Close, "completed", 1), (Ending::End, "lost", 1), (Ending::Reset, "lost", 2)]
        {
            let client = begin(&server, path, first).await;
            says(&server, "antiphon_calls_active 1").await;
            end(client, ending).await;
            let ended = format!("antiphon_calls_total{{transport=\"{door}\",outcome=\"{outcome}\"}} {count}");
            says(&server, &ended).await;
        }
    }
    server.stop().await;
}

/// When a client may close.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// Before it has sent anything.
    Connected,
    /// Once it has sent what begins a call.
    Begun,
    /// While the agent speaks.
    Speaking,
}

/// A client of this door at this moment of a call.
async fn client_at(server: &Program, door: (&str, &str, Option<&str>), moment: Moment) -> Client {
    let (path, name, first) = door;
    let mut client = begin(server, path, first.filter(|_| !matches!(moment, Moment::Connected))).await;
    if matches!(moment, Moment::Speaking) {
        if name == "realtime" {
            client.send(Message::text(REPLY)).await.expect("sent");
        }
        let speaks = async {
            while let Some(message) = client.next().await {
                if is_audio(&message.expect("a message")) {
                    return;
                }
            }
            panic!("the server hung up");
        };
        tokio::time::timeout(PATIENCE, speaks).await.expect("it speaks in time");
    }
    client
}

/// Whether this is audio of the agent, at any door.
fn is_audio(message: &Message) -> bool {
    let text = message.to_text().unwrap_or_default();
    let is_event = |kind: &str| text.contains(&format!("\"{kind}\""));
    message.is_binary() || is_event("media") || is_event("response.output_audio.delta")
}

/// Closes the connection and reads to its end. Returns the code of the answer, if there was an answer and it has one.
async fn close(client: &mut Client, code: Option<CloseCode>) -> Option<Option<CloseCode>> {
    let frame = code.map(|code| CloseFrame { code, reason: "".into() });
    client.close(frame).await.expect("sent");
    let mut answered = None;
    let ends = async {
        while let Some(message) = client.next().await {
            if let Message::Close(frame) = message.expect("no error") {
                answered = Some(frame.map(|frame| frame.code));
            }
        }
    };
    tokio::time::timeout(PATIENCE, ends).await.expect("it ends in time");
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_is_answered_with_its_code_at_every_moment_of_a_call() {
    let place = Place::new("[agent]\ngreeting = \"Welcome to our shop, and thank you for your call.\"\n");
    let server = place.serve().await;
    for door in DOORS {
        for moment in [Moment::Connected, Moment::Begun, Moment::Speaking] {
            for code in CODES {
                let mut client = client_at(&server, door, moment).await;
                assert_eq!(close(&mut client, code).await, Some(code), "{} {moment:?}", door.0);
            }
        }
        says(&server, "antiphon_calls_active 0").await;
    }
    server.stop().await;
}
