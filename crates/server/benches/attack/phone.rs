//! A telephone call as Twilio passes it on: a WebSocket with the caller's audio and keys.

use std::time::Duration;

use antiphon_audio::{Law, Resampler};
use antiphon_core::SampleRate;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Socket, connect, send};
use crate::server::Server;
use crate::speaker::Clip;

/// The path of the media socket.
pub(crate) const MEDIA: &str = "/telephony/twilio/media";
/// How the server under attack is called from outside.
pub(crate) const PUBLIC_HOST: &str = "voice.example.com";
/// Twilio's header with the signature.
pub(crate) const SIGNATURE: &str = "x-twilio-signature";
const FRAME: Duration = Duration::from_millis(20);
/// Samples of a frame at 8 kHz.
const FRAME_SAMPLES: usize = 160;
const STREAM: &str = "MZ1";
/// What RFC 6455, section 7.1.5, has for a Close without a code.
const NO_CODE: u16 = 1005;

/// A call that has begun.
pub(crate) struct PhoneCall {
    socket: Socket,
}

impl PhoneCall {
    /// A call from this number, which the holder of the auth token vouches for.
    pub(crate) async fn from(server: &Server, number: &str, auth_token: &str) -> anyhow::Result<Self> {
        let signature = sign(auth_token, &format!("wss://{PUBLIC_HOST}{MEDIA}"));
        let socket = connect(server, MEDIA, &[(SIGNATURE, &signature)]).await?;
        Self::begin(socket, &json!({ "customParameters": { "from": number } })).await
    }

    /// A call from nobody in particular, whose start message has these fields beside the usual ones.
    pub(crate) async fn with(server: &Server, start: &Value) -> anyhow::Result<Self> {
        Self::begin(connect(server, MEDIA, &[]).await?, start).await
    }

    async fn begin(mut socket: Socket, more: &Value) -> anyhow::Result<Self> {
        let format = json!({ "encoding": "audio/x-mulaw", "sampleRate": 8_000, "channels": 1 });
        let mut start = json!({ "streamSid": STREAM, "callSid": "CA1", "mediaFormat": format });
        if let (Some(start), Some(more)) = (start.as_object_mut(), more.as_object()) {
            start.extend(more.clone());
        }
        send(&mut socket, &json!({ "event": "connected", "protocol": "Call", "version": "1.0.0" })).await?;
        send(&mut socket, &json!({ "event": "start", "streamSid": STREAM, "start": start })).await?;
        Ok(Self { socket })
    }

    /// Says a sentence.
    pub(crate) async fn say(&mut self, clip: &Clip) -> anyhow::Result<()> {
        let (wide, mut narrow): (Vec<i16>, _) = (clip.samples().collect(), Vec::new());
        Resampler::new(SampleRate::HZ_16000, SampleRate::HZ_8000).process(&wide, &mut narrow);
        self.send_audio(&narrow).await
    }

    /// Is silent for so long.
    pub(crate) async fn listen(&mut self, time: Duration) -> anyhow::Result<()> {
        let frames = (time.as_millis() / FRAME.as_millis()) as usize;
        self.send_audio(&vec![0; frames * FRAME_SAMPLES]).await
    }

    /// Presses these keys, with so much time from one to the next.
    pub(crate) async fn press(&mut self, keys: &str, every: Duration) -> anyhow::Result<()> {
        for key in keys.chars() {
            let pressed = json!({ "track": "inbound_track", "digit": key.to_string() });
            send(&mut self.socket, &json!({ "event": "dtmf", "streamSid": STREAM, "dtmf": pressed })).await?;
            self.listen(every).await?;
        }
        Ok(())
    }

    /// Tells the server that the caller has hung up, and waits until it closes the socket. Returns the code with which it does.
    pub(crate) async fn stop(mut self, longest: Duration) -> anyhow::Result<Option<u16>> {
        send(&mut self.socket, &json!({ "event": "stop", "streamSid": STREAM })).await?;
        Ok(closing(&mut self.socket, longest).await)
    }

    /// Sends samples in real time; what the server sends meanwhile is dropped.
    async fn send_audio(&mut self, samples: &[i16]) -> anyhow::Result<()> {
        let mut due = Instant::now();
        for frame in samples.chunks(FRAME_SAMPLES) {
            loop {
                tokio::select! {
                    biased;
                    message = self.socket.next() => {
                        anyhow::ensure!(message.transpose()?.is_some(), "was hung up on");
                    }
                    () = sleep_until(due) => break,
                }
            }
            due += FRAME;
            let mut payload = Vec::with_capacity(FRAME_SAMPLES);
            Law::Mu.encode_into(frame, &mut payload);
            let media = json!({ "payload": BASE64_STANDARD.encode(payload) });
            send(&mut self.socket, &json!({ "event": "media", "streamSid": STREAM, "media": media })).await?;
        }
        Ok(())
    }
}

/// Reads until the server closes the socket. Returns the code with which it does, [`NO_CODE`] if it says none; `None` if it does
/// not close it in time, or hangs up without a word.
pub(crate) async fn closing(socket: &mut Socket, longest: Duration) -> Option<u16> {
    let reading = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(close) = message {
                return Some(close.map_or(NO_CODE, |close| close.code.into()));
            }
        }
        None
    };
    timeout(longest, reading).await.unwrap_or_default()
}

/// Twilio's signature over a URL and the fields of a form, which follow it without anything between.
pub(crate) fn sign(auth_token: &str, signed: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth_token.as_bytes());
    BASE64_STANDARD.encode(ring::hmac::sign(&key, signed.as_bytes()))
}
