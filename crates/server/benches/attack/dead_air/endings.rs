//! What a client waits for at an end: the answer to its Close, and one answer to the keys that were pressed in one go.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::Bench;
use crate::client::{REALTIME, connect};
use crate::phone::{MEDIA, PhoneCall, closing};
use crate::server::Server;
use crate::upstream::{Behaviour, Upstream};

/// The doors of the server that are WebSockets.
const DOORS: [(&str, &str); 3] =
    [("Realtime", REALTIME), ("the talk page", "/talk/ws"), ("the telephone", MEDIA)];
/// Time after which a call has begun.
const BEGUN: Duration = Duration::from_millis(300);
/// How long an answer to a Close is awaited.
const CLOSED: Duration = Duration::from_secs(3);
/// The keys, and the time from one to the next.
const KEYS: &str = "4821#";
const KEY_EVERY: Duration = Duration::from_millis(250);
/// How long a caller waits after the last key.
const LISTENS: Duration = Duration::from_secs(5);
/// Simulated engines.
const SETTINGS: &str = r#"
[stt]
engine = "sim"
[tts]
engine = "sim"
[embed]
engine = "sim"
[cache]
enabled = false
[telemetry]
log = "error"
"#;

/// Sends each door a Close, and a telephone's door Twilio's `stop`.
pub(super) async fn close(bench: &Bench) -> anyhow::Result<String> {
    let server = Server::start_apart(&bench.program, &format!("[llm]\nengine = \"sim\"\n{SETTINGS}"))?;
    let mut outcomes = Vec::new();
    for (door, path) in DOORS {
        let mut socket = connect(&server, path, &[]).await?;
        sleep(BEGUN).await;
        let began = Instant::now();
        socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).await?;
        outcomes.push(outcome(door, closing(&mut socket, CLOSED).await, began.elapsed()));
    }
    let mut call = PhoneCall::with(&server, &json!({})).await?;
    call.listen(BEGUN).await?;
    let began = Instant::now();
    outcomes.push(outcome("Twilio's stop", call.stop(CLOSED).await?, began.elapsed()));
    Ok(outcomes.join(", "))
}

fn outcome(what: &str, code: Option<u16>, after: Duration) -> String {
    match code {
        Some(code) => format!("{what}: {code} after {} ms", after.as_millis()),
        None => format!("{what}: no answer"),
    }
}

/// Presses keys in a call, and looks at how many questions the model was asked.
pub(super) async fn keys(bench: &Bench) -> anyhow::Result<String> {
    let upstream = Upstream::start(Behaviour::Answers).await?;
    let settings = format!("[llm]\n{}{SETTINGS}", upstream.engine());
    let server = Server::start_apart(&bench.program, &settings)?;
    let mut call = PhoneCall::with(&server, &json!({})).await?;
    call.listen(BEGUN).await?;
    call.press(KEYS, KEY_EVERY).await?;
    call.listen(LISTENS).await?;
    let prompts = upstream.take_prompts();
    let questions: BTreeSet<&str> = prompts.iter().filter_map(last_content).collect();
    let questions: Vec<&str> = questions.into_iter().collect();
    Ok(format!("came as {} turns: {}", questions.len(), questions.join(" / ")))
}

/// The text of a prompt's last message.
fn last_content(prompt: &Value) -> Option<&str> {
    prompt.as_array()?.last()?["content"].as_str()
}
