//! What the agent does when something is heard while it speaks: speech should stop it, and nothing else.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::server::Server;
use crate::sounds::{Kind, Sound};

const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: usize = 320;
/// Samples of the talk page's audio for each of 16 kHz, and the bytes before them in a message.
const FASTER: f64 = 24_000.0 / 16_000.0;
const HEADER: usize = 4;
/// How long an agent may take until it begins to speak.
const BEGINS_WITHIN: Duration = Duration::from_secs(20);
/// How long it is listened to after the sound.
const AFTERWARDS: Duration = Duration::from_millis(2_500);
/// How long the agent hears its own echo.
const ECHOES: Duration = Duration::from_secs(15);

/// What the agent did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reaction {
    /// Time from the beginning of the sound until the agent fell silent.
    pub(crate) stopped: Option<Duration>,
    /// How often it fell silent.
    pub(crate) stops: usize,
    /// Whether it gave its reply up.
    pub(crate) gave_up: bool,
    /// Whether it took the sound for a turn.
    pub(crate) answered: bool,
}

/// Plays all sounds to agents that speak, so many at once.
pub(crate) async fn play(
    server: &Arc<Server>,
    sounds: &Arc<Vec<Sound>>,
    at_once: usize,
) -> Vec<(Kind, Reaction)> {
    let mut players = JoinSet::new();
    for player in 0..at_once {
        let (server, sounds) = (server.clone(), sounds.clone());
        players.spawn(async move {
            let mut reactions = Vec::new();
            for (at, sound) in sounds.iter().enumerate().skip(player).step_by(at_once) {
                match trial(&server, sound, at).await {
                    Ok(reaction) => reactions.push((sound.kind, reaction)),
                    Err(error) => eprintln!("{}: {error:#}", sound.kind),
                }
            }
            reactions
        });
    }
    players.join_all().await.into_iter().flatten().collect()
}

/// Lets the agent speak, and plays a sound.
async fn trial(server: &Server, sound: &Sound, number: usize) -> Result<Reaction> {
    let (mut socket, _) = connect_async(server.socket("/talk/ws")).await?;
    socket.send(Message::text(json!({ "type": "text", "text": "Please begin." }).to_string())).await?;
    let began = Instant::now();
    let mut room = Room::new(sound);
    let mut reaction = Reaction::default();
    let mut onset = None;
    let mut played = VecDeque::from(sound.samples.clone());
    for frame in 1.. {
        let due = began + FRAME * frame;
        loop {
            let message = tokio::select! {
                biased;
                message = socket.next() => message.context("the server hung up")??,
                () = sleep_until(due) => break,
            };
            let now = Instant::now();
            match message {
                Message::Binary(audio) => room.plays(&audio[HEADER.min(audio.len())..], now - began),
                Message::Text(text) => {
                    let event: Value = serde_json::from_str(&text)?;
                    let heard = onset.filter(|onset| now >= *onset);
                    match (event["type"].as_str(), heard) {
                        (Some("clear"), heard) => {
                            room.falls_silent(now - began);
                            if let Some(onset) = heard {
                                reaction.stopped.get_or_insert(now - onset);
                                reaction.stops += 1;
                            }
                        }
                        (Some("interrupted"), Some(_)) => reaction.gave_up = true,
                        (Some("user_text"), Some(_)) if event["done"] == true => reaction.answered = true,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        let speaks_since = room.began.map(|spoke| began + spoke);
        if speaks_since.is_none() && began.elapsed() > BEGINS_WITHIN {
            anyhow::bail!("the agent did not begin to speak");
        }
        // The sound begins at another moment of the reply each time.
        let begins = speaks_since.map(|at| at + Duration::from_millis(900 + 137 * (number as u64 % 8)));
        let is_heard = begins.is_some_and(|begins| due >= begins);
        if is_heard {
            onset.get_or_insert(due);
        }
        let lasts = if sound.kind.is_echo() && sound.samples.is_empty() {
            ECHOES
        } else {
            Duration::from_secs_f64(sound.samples.len() as f64 / 16_000.0) + AFTERWARDS
        };
        if onset.is_some_and(|onset| due > onset + lasts) {
            return Ok(reaction);
        }
        let mut samples = room.hears(FRAME_SAMPLES);
        if is_heard {
            for (sample, said) in samples.iter_mut().zip(std::iter::from_fn(|| played.pop_front())) {
                *sample = sample.saturating_add(said);
            }
        }
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        socket.send(Message::binary(bytes)).await?;
    }
    unreachable!("frames do not end")
}

/// The room in which the agent's voice is heard: what it plays comes back weaker, later and blurred.
struct Room<'a> {
    /// What the loudspeaker plays, at 16 kHz, from the beginning of the call.
    speaker: Vec<f32>,
    /// How much of it was heard.
    heard: usize,
    /// When the agent's first sample was played.
    began: Option<Duration>,
    /// The room's impulse response, with the delay in front.
    response: &'a [f32],
    delay: usize,
}

impl<'a> Room<'a> {
    fn new(sound: &'a Sound) -> Self {
        Self { speaker: Vec::new(), heard: 0, began: None, response: &sound.room, delay: sound.delay }
    }

    /// Audio of the agent has come.
    fn plays(&mut self, bytes: &[u8], at: Duration) {
        let samples: Vec<f32> =
            bytes.chunks_exact(2).map(|two| f32::from(i16::from_le_bytes([two[0], two[1]]))).collect();
        self.began.get_or_insert(at);
        let now = (at.as_secs_f64() * 16_000.0) as usize;
        if self.speaker.len() < now {
            self.speaker.resize(now, 0.0);
        }
        let slower = (0..(samples.len() as f64 / FASTER) as usize).map(|at| {
            let place = at as f64 * FASTER;
            let (before, share) = (place as usize, (place.fract()) as f32);
            samples[before] * (1.0 - share) + samples.get(before + 1).unwrap_or(&samples[before]) * share
        });
        self.speaker.extend(slower);
    }

    /// The agent has stopped.
    fn falls_silent(&mut self, at: Duration) {
        self.speaker.truncate(((at.as_secs_f64() * 16_000.0) as usize).max(self.heard));
    }

    /// The next samples that the microphone hears.
    fn hears(&mut self, samples: usize) -> Vec<i16> {
        let from = self.heard;
        self.heard += samples;
        if self.response.is_empty() {
            return vec![0; samples];
        }
        (from..from + samples)
            .map(|at| {
                let Some(at) = at.checked_sub(self.delay) else { return 0 };
                let sum: f32 = self
                    .response
                    .iter()
                    .enumerate()
                    .filter_map(|(tap, weight)| Some(weight * self.speaker.get(at.checked_sub(tap)?)?))
                    .sum();
                sum.clamp(-32_000.0, 32_000.0) as i16
            })
            .collect()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
