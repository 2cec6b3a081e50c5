//! Whether a call counts as completed or as lost, at every door.

use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
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
    use futures_util::SinkExt;

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
