//! A person at the talk page, who says recorded sentences in real time.
#![allow(dead_code, reason = "each benchmark uses its share")]

use std::collections::BTreeMap;
use std::time::Duration;

use antiphon_audio::{Resampler, decode_file};
use antiphon_core::SampleRate;
use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: usize = 320;
/// Longest sentence in frames: ten seconds.
const LONGEST: usize = 500;
/// A turn that has not been answered within this time counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// Samples a second of what the agent says, and the bytes before them in a message.
const REPLY_RATE: f64 = 24_000.0;
const REPLY_HEADER: usize = 4;
/// The agent has finished when it listens and has been silent for so long.
const FINISHED_AFTER: Duration = Duration::from_millis(1_500);
/// Time from the agent's first audio until the person interrupts.
const LISTENS_FOR: Duration = Duration::from_millis(1_200);

/// A spoken sentence at 16 kHz, trimmed to where the speech begins and ends.
pub(crate) struct Clip {
    frames: Vec<Vec<i16>>,
}

/// The measurements of one turn.
pub(crate) struct Turn {
    /// Time from the last sample of speech to the first of the reply, as seen by the client.
    pub(crate) total: Duration,
    /// How long the stages took, as the server reports them.
    pub(crate) stages: BTreeMap<String, Duration>,
}

/// What a person heard after a sentence.
pub(crate) struct HeardTurn {
    /// Time from the last sample of speech to the first of the reply; `None` if nothing was heard.
    pub(crate) wait: Option<Duration>,
    /// The longest time in which nothing was heard, after the first sample and before the agent had finished.
    pub(crate) silence: Duration,
    /// The words of the reply.
    pub(crate) said: String,
    /// Whether the agent finished.
    pub(crate) finished: bool,
    ended: Instant,
    /// When what has come will have been played.
    played: Instant,
    listens: bool,
}

impl Clip {
    /// The samples, at 16 kHz.
    pub(crate) fn samples(&self) -> impl Iterator<Item = i16> {
        self.frames.iter().flatten().copied()
    }

    /// Loads sentences of at most ten seconds, from read speech and from telephone speech.
    pub(crate) fn load_all() -> anyhow::Result<Vec<Self>> {
        let dir = antiphon_testkit::large_testdata();
        let mut paths = Vec::new();
        for folder in ["read_speech", "telephone_speech"].map(|name| dir.join(name)) {
            let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
            paths.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
        }
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "wav"));
        paths.sort();
        let clips: Vec<Self> = paths.iter().map(|path| Self::load(path)).collect::<anyhow::Result<_>>()?;
        Ok(clips.into_iter().filter(|clip| clip.frames.len() <= LONGEST).collect())
    }

    fn load(path: &std::path::Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let audio = decode_file(&bytes, Duration::from_mins(10))?;
        let mut samples = Vec::new();
        Resampler::new(audio.rate, SampleRate::HZ_16000).process(&audio.samples, &mut samples);
        // Speech is taken to reach from the first to the last frame of 20 ms whose level exceeds a fiftieth of
        // the peak.
        let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or_default();
        let loud = |frame: &&[i16]| frame.iter().any(|s| s.unsigned_abs() > peak / 50);
        let frames: Vec<&[i16]> = samples.chunks_exact(FRAME_SAMPLES).collect();
        let from = frames.iter().position(loud).context("silent clip")?;
        let to = frames.iter().rposition(loud).context("silent clip")? + 1;
        Ok(Self { frames: frames[from..to].iter().map(|frame| frame.to_vec()).collect() })
    }
}

/// One connection to the server.
pub(crate) struct Speaker {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// When the next frame must be sent.
    due: Instant,
}

impl Speaker {
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        let (socket, _) = connect_async(url).await?;
        Ok(Self { socket, due: Instant::now() })
    }

    /// Says a sentence, and waits for the first audio of the answer.
    pub(crate) async fn turn(&mut self, clip: &Clip) -> anyhow::Result<Turn> {
        self.rest().await?;
        for frame in &clip.frames {
            self.exchange(frame).await?;
        }
        let ended = Instant::now();
        let (mut total, mut stages) = (None, None);
        while total.is_none() || stages.is_none() {
            if ended.elapsed() > PATIENCE {
                bail!("no answer within {} s", PATIENCE.as_secs());
            }
            for (at, message) in self.exchange(&[0; FRAME_SAMPLES]).await? {
                match message {
                    Message::Binary(_) if total.is_none() => total = Some(at - ended),
                    Message::Text(text) => stages = latencies(&text)?.or(stages),
                    _ => {}
                }
            }
        }
        Ok(Turn { total: total.unwrap_or_default(), stages: stages.unwrap_or_default() })
    }

    /// Says a sentence, and listens until the agent has finished, or for so long.
    pub(crate) async fn hear_out(&mut self, clip: &Clip, longest: Duration) -> anyhow::Result<HeardTurn> {
        self.due = Instant::now();
        for frame in &clip.frames {
            self.exchange(frame).await?;
        }
        let mut heard = HeardTurn::after(Instant::now());
        while !heard.is_over() && heard.ended.elapsed() < longest {
            for (at, message) in self.exchange(&[0; FRAME_SAMPLES]).await? {
                heard.hear(at, &message)?;
            }
        }
        Ok(heard.end())
    }

    /// Says a sentence, listens to the answer for a while and speaks again. Returns how long it takes until the agent
    /// falls silent.
    pub(crate) async fn interrupt(&mut self, clip: &Clip) -> anyhow::Result<Option<Duration>> {
        self.turn(clip).await?;
        let until = Instant::now() + LISTENS_FOR;
        while Instant::now() < until {
            self.exchange(&[0; FRAME_SAMPLES]).await?;
        }
        let onset = Instant::now();
        let mut stopped = None;
        for frame in &clip.frames {
            for (at, message) in self.exchange(frame).await? {
                if matches!(&message, Message::Text(text) if text.contains("\"clear\"")) {
                    stopped.get_or_insert(at - onset);
                }
            }
        }
        Ok(stopped)
    }

    /// Types a question, and waits for the first audio of the answer or for all of it. Returns the time until that
    /// first audio, and whether the words came from the cache.
    pub(crate) async fn ask(&mut self, question: &str, to_the_end: bool) -> anyhow::Result<(Duration, bool)> {
        let typed = serde_json::json!({ "type": "text", "text": question });
        let asked = Instant::now();
        self.socket.send(Message::text(typed.to_string())).await?;
        let (mut heard, mut served, mut over) = (None, None, false);
        while heard.is_none() || served.is_none() || (to_the_end && !over) {
            // A long answer is played in real time, so waiting for all of it takes longer.
            let due = asked + if to_the_end { 4 * PATIENCE } else { PATIENCE };
            let Ok(message) = tokio::time::timeout_at(due, self.socket.next()).await else {
                bail!("no answer within {} s", PATIENCE.as_secs());
            };
            match message.context("the server hung up")?? {
                Message::Binary(_) => _ = heard.get_or_insert_with(|| asked.elapsed()),
                Message::Text(text) => {
                    let event: Value = serde_json::from_str(&text)?;
                    served = event["served_from_cache"].as_bool().or(served);
                    over |= event["type"] == "reply_done";
                }
                _ => {}
            }
        }
        Ok((heard.unwrap_or_default(), served.unwrap_or_default()))
    }

    /// Sends silence until the agent has been silent for a second.
    async fn rest(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        self.due = began;
        let mut quiet = Duration::ZERO;
        while quiet < Duration::from_secs(1) {
            if began.elapsed() > 2 * PATIENCE {
                bail!("the agent does not stop speaking");
            }
            let came = self.exchange(&[0; FRAME_SAMPLES]).await?;
            let speaks = came.iter().any(|(_, message)| matches!(message, Message::Binary(_)));
            quiet = if speaks { Duration::ZERO } else { quiet + FRAME };
        }
        Ok(())
    }

    /// Waits until the next frame is due and sends it. Returns the messages that came before, with their times.
    async fn exchange(&mut self, samples: &[i16]) -> anyhow::Result<Vec<(Instant, Message)>> {
        let mut came = Vec::new();
        loop {
            tokio::select! {
                biased;
                message = self.socket.next() => {
                    came.push((Instant::now(), message.context("the server hung up")??));
                }
                () = sleep_until(self.due) => break,
            }
        }
        self.due += FRAME;
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.socket.send(Message::binary(bytes)).await?;
        Ok(came)
    }
}

impl HeardTurn {
    fn after(ended: Instant) -> Self {
        let (said, silence) = (String::new(), Duration::ZERO);
        Self { wait: None, silence, said, finished: false, ended, played: ended, listens: false }
    }

    fn hear(&mut self, at: Instant, message: &Message) -> anyhow::Result<()> {
        match message {
            Message::Binary(audio) => {
                match self.wait {
                    None => self.wait = Some(at - self.ended),
                    Some(_) => self.silence = self.silence.max(at.saturating_duration_since(self.played)),
                }
                let samples = audio.len().saturating_sub(REPLY_HEADER) / size_of::<i16>();
                self.played = self.played.max(at) + Duration::from_secs_f64(samples as f64 / REPLY_RATE);
            }
            Message::Text(text) => {
                let event: Value = serde_json::from_str(text)?;
                match event["type"].as_str() {
                    Some("reply_text") => self.said.push_str(event["delta"].as_str().unwrap_or_default()),
                    Some("phase") => self.listens = event["phase"] == "listening",
                    Some("clear") => self.played = self.played.min(at),
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether something was heard, and nothing more is to come.
    fn is_over(&self) -> bool {
        self.wait.is_some() && self.listens && self.played.elapsed() >= FINISHED_AFTER
    }

    /// The silence at the end counts if the agent has not finished.
    fn end(mut self) -> Self {
        self.finished = self.is_over();
        if !self.finished && self.wait.is_some() {
            self.silence = self.silence.max(self.played.elapsed());
        }
        self
    }
}

/// The duration of each stage, if this is the event that reports them.
fn latencies(text: &str) -> anyhow::Result<Option<BTreeMap<String, Duration>>> {
    let event: Value = serde_json::from_str(text)?;
    let span = |ms: &Value| Duration::from_secs_f64(ms.as_f64().unwrap_or(0.0) / 1_000.0);
    let stages = event["latency_ms"].as_object();
    Ok(stages.map(|stages| stages.iter().map(|(name, ms)| (name.clone(), span(ms))).collect()))
}
