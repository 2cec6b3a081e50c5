//! What strangers write is to be read as something else: as the marks of the model's template, or as a line of the log.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Bench;
use crate::client::ANSWERED;
use crate::phone::PhoneCall;
use crate::server::Server;
use crate::simulated;

/// The marks that begin and end a turn in the templates of widespread models.
const MARKS: [&str; 6] =
    ["<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>", "<|eot_id|>", "<|endoftext|>"];
/// How often a mark stands in the text.
const TIMES: usize = 8;
/// The embedded language model, without what would answer in its place.
const EMBEDDED: &str = "[cache]\nenabled = false\n[telemetry]\nlog = \"error\"\n";
/// The line that a stranger would like to stand in the log.
const FORGED: &str = "2026-01-01T00:00:00.000000Z  INFO antiphon: a forged line";
/// What turns a terminal red.
const RED: &str = "\u{1b}[31m";
/// Time after which a call has been logged.
const LOGGED: Duration = Duration::from_secs(1);

/// A mark that is read as text takes several tokens, one that is read as a mark takes one.
pub(super) async fn control_tokens(bench: &Bench) -> anyhow::Result<String> {
    let server = Server::start_apart(&bench.program, EMBEDDED)?;
    let without = prompt_tokens(&server, "x").await?;
    let mut marks = Vec::new();
    for mark in MARKS {
        let with = prompt_tokens(&server, &format!("x{}", mark.repeat(TIMES))).await?;
        if with - without <= TIMES as i64 {
            marks.push(mark);
        }
    }
    Ok(match marks.as_slice() {
        [] => "they are read as text".to_owned(),
        marks => format!("could end and begin turns: {} are read as marks", marks.join(", ")),
    })
}

async fn prompt_tokens(server: &Server, text: &str) -> anyhow::Result<i64> {
    let body = json!({ "max_tokens": 1, "messages": [{ "role": "user", "content": text }] });
    let request = reqwest::Client::new().post(server.url("/v1/chat/completions")).timeout(ANSWERED);
    let answer: Value = request.json(&body).send().await?.error_for_status()?.json().await?;
    answer["usage"]["prompt_tokens"].as_i64().context("no count of tokens")
}

/// The fields of a call's start message hold a line break and a line of the log.
pub(super) async fn forged_log_line(bench: &Bench) -> anyhow::Result<String> {
    let settings = format!("{}[telemetry]\nlog = \"info\"\n", simulated::settings());
    let server = Server::start_apart(&bench.program, &settings)?;
    let forged = format!("audio/x\n{FORGED}\r\n{RED}");
    let format = json!({ "encoding": forged, "sampleRate": 8_000, "channels": 1 });
    for start in [json!({ "mediaFormat": format }), json!({ "callSid": forged })] {
        // The server may refuse such a call; it is about what the log says of it.
        if let Ok(call) = PhoneCall::with(&server, &start).await {
            let _ = call.stop(LOGGED).await;
        }
    }
    sleep(LOGGED).await;
    let log = server.log();
    Ok(if log.lines().any(|line| line.starts_with(FORGED)) {
        "forged a line of the log"
    } else if log.contains(RED) {
        "put control characters into the log"
    } else {
        "forged nothing"
    }
    .to_owned())
}
