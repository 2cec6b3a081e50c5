//! Plays turns to a server in real time, over the talk page's WebSocket, and notes when the server takes each for over.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::server::Server;
use crate::stimuli::{Group, Stimulus};

const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: usize = 320;
/// Silence before the speech, in frames.
const BEFORE: usize = 15;
/// A turn that is not taken for over so long after its end is lost.
const PATIENCE: Duration = Duration::from_secs(12);

/// What became of a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended {
    /// It was taken for over while its speaker paused.
    CutOff,
    /// It was taken for over so long after its last sample.
    After(Duration),
    /// It was not taken for over at all, or the connection broke.
    Never,
}

/// Plays all turns, so many at once.
pub(crate) async fn play(
    server: &Arc<Server>,
    stimuli: &Arc<Vec<Stimulus>>,
    at_once: usize,
) -> Vec<(Group, Ended)> {
    let mut players = JoinSet::new();
    for player in 0..at_once {
        let (server, stimuli) = (server.clone(), stimuli.clone());
        players.spawn(async move {
            let mut ended = Vec::new();
            for stimulus in stimuli.iter().skip(player).step_by(at_once) {
                let end = turn(&server, &stimulus.samples).await.unwrap_or(Ended::Never);
                ended.push((stimulus.group, end));
            }
            ended
        });
    }
    players.join_all().await.into_iter().flatten().collect()
}

/// Says one turn in a call of its own.
async fn turn(server: &Server, samples: &[i16]) -> Result<Ended> {
    let (mut socket, _) = connect_async(server.socket("/talk/ws")).await?;
    let speech = samples.chunks(FRAME_SAMPLES);
    let silence = [0; FRAME_SAMPLES];
    let frames =
        std::iter::repeat_n(&silence[..], BEFORE).chain(speech).chain(std::iter::repeat(&silence[..]));
    let last = BEFORE + samples.len().div_ceil(FRAME_SAMPLES);
    let began = Instant::now();
    let end = began + FRAME * last as u32;
    for (at, frame) in frames.enumerate() {
        let due = began + FRAME * (at as u32 + 1);
        loop {
            tokio::select! {
                biased;
                message = socket.next() => {
                    if is_over(&message.context("the server hung up")??)? {
                        let now = Instant::now();
                        return Ok(if now < end { Ended::CutOff } else { Ended::After(now - end) });
                    }
                }
                () = sleep_until(due) => break,
            }
        }
        if due > end + PATIENCE {
            bail!("the turn was not taken for over within {} s", PATIENCE.as_secs());
        }
        let bytes: Vec<u8> = frame.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        socket.send(Message::binary(bytes)).await?;
    }
    bail!("no more frames")
}

/// Whether the server says that it now thinks about its answer, or speaks already.
fn is_over(message: &Message) -> Result<bool> {
    let Message::Text(text) = message else { return Ok(false) };
    let event: Value = serde_json::from_str(text)?;
    Ok(event["type"] == "phase" && (event["phase"] == "thinking" || event["phase"] == "speaking"))
}
