//! One simulated caller: real speech in real time, whatever the server does.

use std::sync::Arc;
use std::time::Duration;

use antiphon_audio::{Law, Resampler, decode_file};
use antiphon_core::SampleRate;
use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

const FRAME: Duration = Duration::from_millis(20);

/// A spoken question as ready-made messages, one for each 20 ms, cut where the speech ends.
pub(crate) struct Clip {
    speech: Vec<Utf8Bytes>,
    silence: Utf8Bytes,
}

/// What happened to one caller.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) latencies: Vec<Duration>,
    /// Turns that got no answer.
    pub(crate) missed: usize,
    /// The furthest this caller fell behind its schedule: the load generator's own fault.
    pub(crate) late: Duration,
}

impl Clip {
    pub(crate) fn load() -> anyhow::Result<Self> {
        let dir = std::env::var_os("ANTIPHON_TESTDATA").map_or_else(
            || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata"),
            Into::into,
        );
        let path = dir.join("read_speech/spk1_snt1.wav");
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let audio = decode_file(&bytes, Duration::from_mins(1))?;
        let mut samples = Vec::new();
        Resampler::new(audio.rate, SampleRate::HZ_8000).process(&audio.samples, &mut samples);
        // Speech ends where the last 20 ms louder than a fiftieth of the peak end.
        let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or_default();
        let loud = |frame: &[i16]| frame.iter().any(|s| s.unsigned_abs() > peak / 50);
        let frames: Vec<&[i16]> = samples.chunks_exact(160).collect();
        let end = frames.iter().rposition(|f| loud(f)).context("silent clip")? + 1;
        let speech = frames[..end].iter().map(|f| message(f)).collect();
        Ok(Self { speech, silence: message(&[0; 160]) })
    }
}

fn message(frame: &[i16]) -> Utf8Bytes {
    let mut mulaw = Vec::new();
    Law::Mu.encode_into(frame, &mut mulaw);
    let payload = STANDARD.encode(mulaw);
    let json = format!(
        r#"{{"event":"media","sequenceNumber":"3","media":{{"track":"inbound","chunk":"1","timestamp":"5","payload":"{payload}"}},"streamSid":"MZ0"}}"#
    );
    json.into()
}

/// One call.
pub(crate) struct Call {
    url: String,
    clip: Arc<Clip>,
    at: Instant,
}

impl Call {
    pub(crate) fn new(url: String, clip: Arc<Clip>, at: Instant) -> Self {
        Self { url, clip, at }
    }

    /// Speaks `turns` times, every `period`, from its starting time on.
    pub(crate) async fn run(self, turns: usize, period: Duration) -> anyhow::Result<Outcome> {
        let dial = self.at.checked_sub(Duration::from_millis(500)).unwrap_or(self.at);
        sleep_until(dial).await;
        let (mut socket, _) = tokio_tungstenite::connect_async(&self.url).await?;
        let start = r#"{"event":"start","start":{"streamSid":"MZ0","callSid":"CA0","mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}},"streamSid":"MZ0"}"#;
        socket.send(Message::text(start)).await?;
        let frames_a_turn = (period.as_millis() / FRAME.as_millis()) as usize;
        let mut outcome = Outcome::default();
        // When the latest question ended, until its answer came.
        let mut asked: Option<Instant> = None;
        for n in 0..turns * frames_a_turn {
            let due = self.at + FRAME * n as u32;
            loop {
                tokio::select! {
                    biased;
                    () = sleep_until(due) => break,
                    message = socket.next() => {
                        let message = message.context("the server hung up")??;
                        if message.to_text().is_ok_and(|t| t.starts_with(r#"{"event":"media""#))
                            && let Some(asked) = asked.take()
                        {
                            outcome.latencies.push(asked.elapsed());
                        }
                    }
                }
            }
            outcome.late = outcome.late.max(due.elapsed());
            let frame = n % frames_a_turn;
            if frame == 0 && asked.take().is_some() {
                outcome.missed += 1;
            }
            let message = self.clip.speech.get(frame).unwrap_or(&self.clip.silence);
            socket.send(Message::Text(message.clone())).await?;
            if frame + 1 == self.clip.speech.len() {
                // The last sample of a frame is due when the next frame is.
                asked = Some(due + FRAME);
            }
        }
        outcome.missed += usize::from(asked.is_some());
        socket.close(None).await?;
        Ok(outcome)
    }
}
