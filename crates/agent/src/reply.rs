//! A reply: language model -> clauses -> speech, all streaming, all cancelled by dropping.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::{
    AudioChunk, BoxStream, ChatDelta, ChatRequest, Error, FinishReason, Result, SpeechRequest, Tts, Usage,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::Instant;

use crate::Engines;
use crate::speech::Clauses;

/// Clauses written but not yet spoken, at most: beyond this the model waits for the voice.
const MAX_CLAUSES: usize = 8;

/// Chunks of audio of one clause that wait to be sent, at most.
const MAX_CHUNKS: usize = 64;
/// The cutter bounds a clause to some hundred characters, which nobody takes this long to say.
const MAX_CLAUSE: Duration = Duration::from_mins(2);

/// A piece of a reply, in the order in which it came to be.
#[derive(Debug)]
pub(crate) enum ReplyPart {
    /// More text.
    Text(String),
    /// The audio that follows says this.
    Clause(String),
    /// More audio.
    Audio(AudioChunk),
    /// More of a tool call.
    ToolCall { index: usize, id: Option<String>, name: Option<String>, arguments: String },
    /// The model has written all of it; it is still being spoken.
    Written,
    /// The end.
    Done { finish: FinishReason, usage: Usage },
}

/// How the reply is spoken.
#[derive(Clone)]
pub(crate) struct Speaker {
    pub(crate) tts: Arc<dyn Tts>,
    pub(crate) voice: Option<String>,
    pub(crate) speed: f32,
}

/// When what first happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReplyTimes {
    requested: Option<Instant>,
    first_token: Option<Instant>,
    first_clause: Option<Instant>,
    first_audio: Option<Instant>,
}

impl ReplyTimes {
    /// From the request to the first token.
    pub(crate) fn llm_ttft(&self) -> Duration {
        span(self.requested, self.first_token)
    }

    /// From the request to what can be given first: audio, or text if nothing is spoken.
    pub(crate) fn made(&self) -> Duration {
        span(self.requested, self.first_audio.or(self.first_token))
    }

    /// From the first clause to its first audio.
    pub(crate) fn tts_ttfb(&self) -> Duration {
        span(self.first_clause, self.first_audio)
    }

    /// From where to where the language model and the voice were at work on what was given first.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&'static str, Instant, Instant)> {
        let llm = self.requested.zip(self.first_token).map(|(from, to)| ("llm", from, to));
        let tts = self.first_clause.zip(self.first_audio).map(|(from, to)| ("tts", from, to));
        llm.into_iter().chain(tts)
    }
}

fn span(from: Option<Instant>, to: Option<Instant>) -> Duration {
    from.zip(to).map_or(Duration::ZERO, |(from, to)| to.saturating_duration_since(from))
}

/// The stream of a reply's parts.
pub(crate) struct Reply {
    llm: Option<BoxStream<'static, Result<ChatDelta>>>,
    speaker: Option<Speaker>,
    cutter: Clauses,
    clauses: VecDeque<String>,
    speaking: Option<Clause>,
    /// The clause after it, synthesised while the one before is sent.
    ahead: Option<Clause>,
    done: Option<(FinishReason, Usage)>,
    times: ReplyTimes,
}

/// One clause on its way through speech synthesis.
struct Clause {
    /// Taken once announced.
    text: Option<String>,
    audio: BoxStream<'static, Result<AudioChunk>>,
    /// Made before its turn came.
    made: VecDeque<Result<AudioChunk>>,
    /// How much was made in all.
    length: Duration,
    ended: bool,
}

impl Reply {
    /// Asks the language model; `speaker` says the answer, without one it is only written.
    pub(crate) fn generate(engines: &Engines, request: ChatRequest, speaker: Option<Speaker>) -> Self {
        Self::new(engines.llm.chat(request), speaker)
    }

    /// Says a fixed text.
    pub(crate) fn say(text: &str, speaker: Option<Speaker>) -> Self {
        let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
        let parts = [Ok(ChatDelta::Text(text.to_owned())), Ok(done)];
        Self::new(stream::iter(parts).boxed(), speaker)
    }

    fn new(llm: BoxStream<'static, Result<ChatDelta>>, speaker: Option<Speaker>) -> Self {
        Self {
            llm: Some(llm),
            speaker,
            cutter: Clauses::default(),
            clauses: VecDeque::new(),
            speaking: None,
            ahead: None,
            done: None,
            times: ReplyTimes { requested: Some(Instant::now()), ..ReplyTimes::default() },
        }
    }

    /// When what first happened.
    pub(crate) fn times(&self) -> ReplyTimes {
        self.times
    }

    /// The next part from the model, unless it has to wait.
    fn poll_llm(&mut self, cx: &mut Context<'_>) -> Poll<Result<ReplyPart>> {
        while self.clauses.len() < MAX_CLAUSES
            && let Some(llm) = &mut self.llm
        {
            let Some(delta) = std::task::ready!(llm.poll_next_unpin(cx)) else {
                self.model_ended(FinishReason::Stop, Usage::default());
                break;
            };
            let delta = delta.inspect_err(|_| self.llm = None)?;
            self.times.first_token.get_or_insert_with(Instant::now);
            match delta {
                ChatDelta::Text(text) if text.is_empty() => {}
                ChatDelta::Text(text) => {
                    if self.speaker.is_some() {
                        self.cutter.push(&text);
                        self.clauses.extend(std::iter::from_fn(|| self.cutter.pop()));
                    }
                    return Poll::Ready(Ok(ReplyPart::Text(text)));
                }
                ChatDelta::ToolCall { index, id, name, arguments } => {
                    return Poll::Ready(Ok(ReplyPart::ToolCall { index, id, name, arguments }));
                }
                ChatDelta::Done { finish, usage } => {
                    self.model_ended(finish, usage);
                    return Poll::Ready(Ok(ReplyPart::Written));
                }
            }
        }
        Poll::Pending
    }

    fn model_ended(&mut self, finish: FinishReason, usage: Usage) {
        self.llm = None;
        self.done = Some((finish, usage));
        self.clauses.extend(self.cutter.finish());
    }

    /// The next part from speech synthesis.
    fn poll_tts(&mut self, cx: &mut Context<'_>) -> Poll<Result<ReplyPart>> {
        loop {
            if self.speaking.is_none() {
                self.speaking = self.ahead.take().or_else(|| self.next_clause());
            }
            if self.ahead.is_none() && self.speaking.is_some() {
                self.ahead = self.next_clause();
            }
            if let Some(ahead) = &mut self.ahead {
                ahead.poll_made(cx);
            }
            let Some(clause) = &mut self.speaking else { return Poll::Pending };
            if let Some(text) = clause.text.take() {
                return Poll::Ready(Ok(ReplyPart::Clause(text)));
            }
            clause.poll_made(cx);
            match clause.made.pop_front() {
                Some(chunk) => {
                    self.times.first_audio.get_or_insert_with(Instant::now);
                    return Poll::Ready(chunk.map(ReplyPart::Audio));
                }
                None if clause.ended => self.speaking = None,
                None => return Poll::Pending,
            }
        }
    }

    fn next_clause(&mut self) -> Option<Clause> {
        let speaker = self.speaker.as_ref()?;
        let text = self.clauses.pop_front()?;
        self.times.first_clause.get_or_insert_with(Instant::now);
        let request = SpeechRequest {
            voice: speaker.voice.clone(),
            speed: speaker.speed,
            ..SpeechRequest::new(text.clone())
        };
        let audio = speaker.tts.speak(request);
        Some(Clause { text: Some(text), audio, made: VecDeque::new(), length: Duration::ZERO, ended: false })
    }

    fn spoken(&self) -> bool {
        self.speaking.is_none() && self.ahead.is_none() && self.clauses.is_empty()
    }
}

impl Clause {
    /// Takes what synthesis has made, up to a bound.
    fn poll_made(&mut self, cx: &mut Context<'_>) {
        while !self.ended && self.made.len() < MAX_CHUNKS {
            match self.audio.poll_next_unpin(cx) {
                Poll::Ready(Some(chunk)) => {
                    self.length += chunk.as_ref().map_or(Duration::ZERO, AudioChunk::duration);
                    self.made.push_back(chunk);
                    if self.length > MAX_CLAUSE {
                        let message = "speech synthesis does not come to an end of one clause";
                        self.made.push_back(Err(Error::internal(message)));
                        self.ended = true;
                    }
                }
                Poll::Ready(None) => self.ended = true,
                Poll::Pending => return,
            }
        }
    }
}

impl Stream for Reply {
    type Item = Result<ReplyPart>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Poll::Ready(part) = this.poll_llm(cx) {
            return Poll::Ready(Some(part));
        }
        if let Poll::Ready(part) = this.poll_tts(cx) {
            // A clause has left the queue: the model may go on.
            cx.waker().wake_by_ref();
            return Poll::Ready(Some(part));
        }
        if this.llm.is_none() && this.spoken() {
            return Poll::Ready(
                this.done.take().map(|(finish, usage)| Ok(ReplyPart::Done { finish, usage })),
            );
        }
        Poll::Pending
    }
}
