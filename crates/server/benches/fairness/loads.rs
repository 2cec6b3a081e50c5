//! What a client does beside the calls of others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use antiphon_audio::{FileFormat, encode_file};
use antiphon_core::{AudioChunk, SampleRate};
use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt, StreamExt};
use reqwest::StatusCode;
use serde_json::json;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::server::Server;
use crate::speaker::Clip;

/// The rate of the recordings, in samples a second.
const RATE: usize = 16_000;
/// Length of a recording that is transcribed, in seconds.
const RECORDING: usize = 120;
/// Audio in one message to Realtime, in samples at 24 kHz: 100 ms.
const APPENDED: usize = 2_400;
/// Pause of a client that was refused, as one takes that heeds `Retry-After`.
const REFUSED: Duration = Duration::from_secs(1);

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    Chats,
    Speech,
    Transcriptions,
    FastAudio,
}

/// What came of a load.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) served: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// How often requests failed for each reason.
    reasons: Mutex<BTreeMap<String, u64>>,
}

/// What all clients send.
pub(crate) struct Material {
    recording: Vec<u8>,
    audio: Vec<String>,
}

impl Load {
    pub(crate) const ALL: [Self; 4] = [Self::Chats, Self::Speech, Self::Transcriptions, Self::FastAudio];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chats => "chat completions",
            Self::Speech => "speech requests",
            Self::Transcriptions => "transcriptions of 2 min",
            Self::FastAudio => "Realtime, audio as fast as it goes",
        }
    }

    /// Does the same again and again, until the future is dropped.
    pub(crate) async fn run(self, server: Arc<Server>, material: Arc<Material>, outcome: Arc<Outcome>) {
        let client = reqwest::Client::new();
        loop {
            let done = match self {
                Self::Chats => chat(&client, &server).await,
                Self::Speech => speak(&client, &server).await,
                Self::Transcriptions => transcribe(&client, &server, &material).await,
                Self::FastAudio => append(&server, &material, &outcome).await.map(|()| StatusCode::OK),
            };
            let (counter, pause) = match done {
                Ok(status) if status.is_success() => (&outcome.served, Duration::ZERO),
                Ok(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => {
                    (&outcome.refused, REFUSED)
                }
                Ok(status) => outcome.failed(status.to_string()),
                Err(error) => outcome.failed(format!("{error:#}")),
            };
            counter.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(pause).await;
        }
    }
}

impl Outcome {
    /// Notes why a request failed; gives where that is counted, and how long its client pauses.
    fn failed(&self, reason: String) -> (&AtomicU64, Duration) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        *reasons.entry(reason).or_default() += 1;
        (&self.failed, REFUSED)
    }

    /// Why requests failed, and how often.
    pub(crate) fn reasons(&self) -> Vec<(String, u64)> {
        let reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.iter().map(|(reason, count)| (reason.clone(), *count)).collect()
    }
}

impl Material {
    /// Joins recorded sentences until they are long enough.
    pub(crate) fn of(clips: &[Clip]) -> anyhow::Result<Self> {
        let samples: Vec<i16> = clips.iter().cycle().flat_map(Clip::samples).take(RECORDING * RATE).collect();
        // Realtime takes 24 kHz: every second sample is sent twice, which is speech enough for a load.
        let faster: Vec<i16> =
            samples.chunks(2).flat_map(|two| two.iter().copied().chain(two.last().copied())).collect();
        let audio = faster.chunks(APPENDED).map(|piece| {
            let bytes: Vec<u8> = piece.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            json!({ "type": "input_audio_buffer.append", "audio": BASE64_STANDARD.encode(bytes) }).to_string()
        });
        let audio = audio.collect();
        let chunk = AudioChunk { samples: samples.into(), rate: SampleRate::HZ_16000 };
        Ok(Self { recording: encode_file(FileFormat::Wav, &chunk)?, audio })
    }
}

async fn chat(client: &reqwest::Client, server: &Server) -> anyhow::Result<StatusCode> {
    let messages = json!([{ "role": "user", "content": "Tell me a long story about a ship at sea." }]);
    let body = json!({ "model": "default", "messages": messages, "max_tokens": 120 });
    post(client, &server.url("/v1/chat/completions"), &body).await
}

async fn speak(client: &reqwest::Client, server: &Server) -> anyhow::Result<StatusCode> {
    let input = "The ship left the harbour early in the morning. The sea was calm, and the sun shone. \
        Nobody on board knew what was waiting for them beyond the horizon.";
    let body = json!({ "model": "default", "voice": "alloy", "input": input, "response_format": "wav" });
    post(client, &server.url("/v1/audio/speech"), &body).await
}

async fn post(client: &reqwest::Client, url: &str, body: &serde_json::Value) -> anyhow::Result<StatusCode> {
    let response = client.post(url).json(body).send().await?;
    let status = response.status();
    response.bytes().await?;
    Ok(status)
}

async fn transcribe(
    client: &reqwest::Client,
    server: &Server,
    material: &Material,
) -> anyhow::Result<StatusCode> {
    let file = reqwest::multipart::Part::bytes(material.recording.clone()).file_name("recording.wav");
    let form = reqwest::multipart::Form::new().part("file", file).text("model", "default");
    let response = client.post(server.url("/v1/audio/transcriptions")).multipart(form).send().await?;
    let status = response.status();
    response.bytes().await?;
    Ok(status)
}

/// Sends audio as fast as the server takes it. Each piece counts as served.
async fn append(server: &Server, material: &Material, outcome: &Outcome) -> anyhow::Result<()> {
    let (socket, _) = connect_async(server.socket("/v1/realtime?model=default")).await?;
    let (mut to, mut from) = socket.split();
    let send = async {
        for piece in material.audio.iter().cycle() {
            to.send(Message::text(piece.as_str())).await?;
            outcome.served.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(())
    };
    let read = async {
        while let Some(message) = from.next().await {
            message?;
        }
        anyhow::Ok(())
    };
    tokio::select! { sent = send => sent, read = read => read }.context("the session ended")
}
