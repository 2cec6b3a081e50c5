//! Speech recognition over a WebSocket for any vendor: audio is sent in pieces while transcripts come back. The file of
//! a vendor only implements its dialect.
//!
//! The first audio opens the connection. While it is being opened, and while an answer is awaited, no more audio is
//! taken: it waits at its source, which bounds it. So at most one question is open at a time.

mod address;
mod parts;
mod pieces;
#[cfg(test)]
pub(crate) mod script;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{BoxStream, Result, Segment, SttInput, Transcript};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep_until};

use super::Remote;
use super::socket::{Frame, Socket};
pub(crate) use address::{query, terms};
use parts::Parts;
use pieces::Pieces;

/// After this much audio, in milliseconds, every server has sent something, if only that it heard nothing. One that has
/// not, and does not answer a question, is broken.
const SAYS_SOMETHING_MS: u64 = 3_000;

/// The protocol of one vendor.
pub(crate) trait Dialect: Send + 'static {
    /// The fewest and the most samples in one message.
    const PIECE: RangeInclusive<usize>;
    /// The message that asks for all text so far.
    const FLUSH: &'static str;
    /// The message that ends the audio and asks for all text.
    const END: &'static str;
    /// A message to send when nothing was sent for this long.
    const KEEP_ALIVE: Option<(Duration, &'static str)>;

    /// Reads a message. Returns an error when the server reports one or violates the protocol.
    fn read(&mut self, remote: &Remote, message: &str) -> Result<Said>;
}

/// The content of a message.
#[derive(Debug)]
pub(crate) enum Said {
    /// A part of the text.
    Part(Part),
    /// The session is over.
    Over,
    /// Nothing that is needed here.
    Nothing,
}

/// A part of the text. It replaces the previous one with the same number.
#[derive(Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) number: u64,
    pub(crate) text: String,
    /// When the words were said, on the server's clock, which counts the milliseconds of audio that it received.
    pub(crate) start_ms: u64,
    pub(crate) end_ms: u64,
    /// The audio that was transcribed so far, on the server's clock.
    pub(crate) covers_ms: u64,
    /// Whether it answers a flush.
    pub(crate) answers: bool,
}

/// Where to connect to.
pub(crate) struct Line {
    pub(crate) remote: Remote,
    pub(crate) path: String,
    /// How long an answer is awaited after a question, or after the latest part that covered more audio. Then the text
    /// so far is the answer.
    pub(crate) answer_within: Duration,
}

/// Transcribes one stream of audio. Ends after the first error.
pub(crate) fn listen<D: Dialect>(
    line: Line,
    dialect: D,
    partials: bool,
    audio: BoxStream<'static, SttInput>,
) -> BoxStream<'static, Result<Transcript>> {
    let listening = Listening::new(line, dialect, partials, audio);
    stream::unfold(Some(listening), |listening| async move {
        let mut listening = listening?;
        match listening.next().await.transpose()? {
            Ok(transcript) => Some((Ok(transcript), Some(listening))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

/// Transcribes with a server that sends these lines. The lines `audio` (50 ms of it), `flush`, `end`, `late`, `binary`
/// and `closed` stand for other events.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz<D: Dialect>(remote: &Remote, dialect: D, lines: &str) -> Result<()> {
    use futures_util::FutureExt;

    let (remote, answer_within) = (remote.clone(), Duration::ZERO);
    let line = Line { remote, path: String::new(), answer_within };
    let mut listening = Listening::new(line, dialect, true, stream::empty().boxed());
    for said in lines.lines() {
        let idle = listening.question.is_none();
        // Without a socket nothing has to be awaited.
        let transcript = match said {
            "audio" if idle => {
                listening.pieces.push(vec![0; 800].into(), &D::PIECE);
                while listening.pieces.is_ready(&D::PIECE) {
                    listening.pieces.take(&D::PIECE);
                }
                None
            }
            "flush" | "end" if idle => listening.ask(said == "end").now_or_never().transpose()?.flatten(),
            "late" => listening.time_passed().now_or_never().transpose()?.flatten(),
            "binary" => listening.understand(Some(Ok(Frame::Binary(Vec::new()))))?,
            "closed" => listening.understand(None)?,
            text => listening.understand(Some(Ok(Frame::Text(text.to_owned()))))?,
        };
        if let Some(transcript) = transcript {
            let times = transcript.segments.iter().flat_map(|segment| [segment.start_s, segment.end_s]);
            assert!(times.is_sorted(), "{transcript:?}");
            assert!(transcript.audio_ms <= listening.pieces.received_ms(), "{transcript:?}");
        }
        if listening.over {
            break;
        }
    }
    Ok(())
}

/// The transcription of one stream of audio.
struct Listening<D> {
    line: Line,
    dialect: D,
    partials: bool,
    audio: BoxStream<'static, SttInput>,
    /// Whether the audio has ended and its end was answered.
    over: bool,
    /// `None` until the first audio.
    socket: Option<Socket>,
    pieces: Pieces,
    parts: Parts,
    /// The text of the latest transcript.
    told: String,
    /// Whether the server has sent any message.
    spoken: bool,
    /// Samples that the latest answer covers.
    answered: u64,
    /// Milliseconds that the latest transcript covers.
    covered_ms: u64,
    /// The time of a flush that was not answered. Its answer may still come, and must not be taken for that
    /// of a later one.
    missed_ms: Option<u64>,
    question: Option<Question>,
    /// When the socket was last written to.
    sent: Instant,
}

/// A question for all text that waits for its answer.
struct Question {
    /// Whether the end of the audio asks, not a flush.
    end: bool,
    /// When the text so far becomes the answer, unless there is news.
    due: Instant,
    /// When the text so far becomes the answer even if there is news.
    latest: Instant,
}

/// The next event of a transcription.
enum Event {
    Input(Option<SttInput>),
    Frame(Option<Result<Frame>>),
    /// A piece can be sent.
    Piece,
    /// An answer is overdue, or the connection is idle.
    Time,
}

impl<D: Dialect> Listening<D> {
    fn new(line: Line, dialect: D, partials: bool, audio: BoxStream<'static, SttInput>) -> Self {
        Self {
            line,
            dialect,
            partials,
            audio,
            over: false,
            socket: None,
            pieces: Pieces::default(),
            parts: Parts::default(),
            told: String::new(),
            spoken: false,
            answered: 0,
            covered_ms: 0,
            missed_ms: None,
            question: None,
            sent: Instant::now(),
        }
    }

    /// The next transcript; `None` after the last.
    async fn next(&mut self) -> Result<Option<Transcript>> {
        while !self.over {
            let transcript = match self.event().await {
                Event::Input(Some(SttInput::Audio(samples))) => self.hear(samples).await?,
                Event::Input(Some(SttInput::Flush)) => self.ask(false).await?,
                Event::Input(None) => self.ask(true).await?,
                Event::Piece => self.send_piece().await?,
                Event::Frame(frame) => self.understand(frame)?,
                Event::Time => self.time_passed().await?,
            };
            if transcript.is_some() {
                return Ok(transcript);
            }
        }
        Ok(None)
    }

    /// The next event. When several are ready, each is as likely as the others. So messages are read at least as often
    /// as pieces are sent, and the two sides cannot block each other by only writing.
    async fn event(&mut self) -> Event {
        let ready = self.pieces.is_ready(&D::PIECE);
        let wake = self.wake();
        let idle = self.question.is_none() && !ready;
        let (socket, audio) = (&mut self.socket, &mut self.audio);
        let frame = async {
            match socket {
                Some(socket) => socket.next().await,
                None => std::future::pending().await,
            }
        };
        let time = async {
            match wake {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            frame = frame => Event::Frame(frame),
            () = std::future::ready(()), if ready => Event::Piece,
            input = audio.next(), if idle => Event::Input(input),
            () = time => Event::Time,
        }
    }

    fn wake(&self) -> Option<Instant> {
        match (&self.question, &self.socket, D::KEEP_ALIVE) {
            (Some(question), ..) => Some(question.due),
            (None, Some(_), Some((every, _))) => Some(self.sent + every),
            _ => None,
        }
    }

    async fn hear(&mut self, samples: Arc<[i16]>) -> Result<Option<Transcript>> {
        if self.socket.is_none() && !samples.is_empty() {
            let Line { remote, path, .. } = &self.line;
            self.socket = Some(Socket::connect(remote, path).await?);
            self.sent = Instant::now();
        }
        self.pieces.push(samples, &D::PIECE);
        Ok(None)
    }

    async fn send_piece(&mut self) -> Result<Option<Transcript>> {
        let piece = self.pieces.take(&D::PIECE);
        self.send_audio(piece).await.map(|()| None)
    }

    async fn send_audio(&mut self, piece: Vec<u8>) -> Result<()> {
        self.sent = Instant::now();
        match &mut self.socket {
            Some(socket) => socket.send_binary(piece).await,
            None => Ok(()),
        }
    }

    async fn send(&mut self, text: &str) -> Result<()> {
        self.sent = Instant::now();
        match &mut self.socket {
            Some(socket) => socket.send_text(text.to_owned()).await,
            None => Ok(()),
        }
    }

    /// Asks for all text so far. The server is asked only if it received audio since the latest answer.
    async fn ask(&mut self, end: bool) -> Result<Option<Transcript>> {
        if self.pieces.received() == self.answered {
            self.over = end;
            if end {
                // Some vendors bill a session until they notice that it is over.
                let _ = self.send(D::END).await;
                return Ok(None);
            }
            return Ok(Some(self.answer()));
        }
        if let Some(rest) = self.pieces.rest(&D::PIECE) {
            self.send_audio(rest).await?;
        }
        self.send(if end { D::END } else { D::FLUSH }).await?;
        let now = Instant::now();
        let latest = now + self.line.remote.bounds().first;
        self.question = Some(Question { end, due: latest.min(now + self.line.answer_within), latest });
        Ok(None)
    }

    fn understand(&mut self, frame: Option<Result<Frame>>) -> Result<Option<Transcript>> {
        let ending = self.question.as_ref().is_some_and(|question| question.end);
        let remote = &self.line.remote;
        let said = match frame.transpose()? {
            Some(Frame::Text(text)) => self.dialect.read(remote, &text)?,
            Some(Frame::Binary(_)) => return Err(remote.protocol("bytes where text was due")),
            None if ending => Said::Over,
            None => return Err(remote.broke_off()),
        };
        self.spoken = true;
        match said {
            Said::Part(part) => self.take(&part),
            Said::Over => Ok(ending.then(|| self.answer())),
            Said::Nothing => Ok(None),
        }
    }

    fn take(&mut self, part: &Part) -> Result<Option<Transcript>> {
        let seconds = |ms| self.pieces.ours(ms) as f32 / 1_000.0;
        let (start_s, end_s) = (seconds(part.start_ms), seconds(part.end_ms));
        let covers_ms = self.pieces.ours(part.covers_ms);
        let text = part.text.trim().to_owned();
        if !self.parts.set(part.number, Segment { start_s, end_s, text }) {
            return Err(self.line.remote.protocol("more text than anybody can say"));
        }
        let news = covers_ms > self.covered_ms;
        self.covered_ms = self.covered_ms.max(covers_ms);
        let late = part.answers && self.missed_ms.take().is_some_and(|missed| covers_ms <= missed);
        if let Some(question) = &mut self.question {
            if news {
                question.due = question.latest.min(Instant::now() + self.line.answer_within);
            }
            return Ok((part.answers && !late && !question.end).then(|| self.answer()));
        }
        let text = self.parts.text();
        if !self.partials || text == self.told {
            return Ok(None);
        }
        self.told.clone_from(&text);
        Ok(Some(Transcript { text, audio_ms: self.covered_ms, flushed: false, segments: Vec::new() }))
    }

    async fn time_passed(&mut self) -> Result<Option<Transcript>> {
        if self.question.is_some() {
            if !self.spoken && self.pieces.received_ms() >= SAYS_SOMETHING_MS {
                return Err(self.line.remote.late(self.line.answer_within));
            }
            tracing::debug!("a question for all text was not answered in time");
            self.missed_ms = Some(self.pieces.received_ms());
            return Ok(Some(self.answer()));
        }
        if let Some((_, message)) = D::KEEP_ALIVE {
            self.send(message).await?;
        }
        Ok(None)
    }

    /// Answers the question with the text so far.
    fn answer(&mut self) -> Transcript {
        self.over = self.question.take().is_some_and(|question| question.end);
        self.answered = self.pieces.received();
        self.covered_ms = self.pieces.received_ms();
        self.told = self.parts.text();
        Transcript {
            text: self.told.clone(),
            audio_ms: self.covered_ms,
            flushed: true,
            segments: self.parts.segments(),
        }
    }
}
