//! A reply: language model -> clauses -> speech. All of it streams, and dropping it cancels all of it.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::{
    AudioChunk, BoxStream, CacheHit, ChatDelta, ChatRequest, Emotion, Error, ErrorKind, FinishReason, Llm,
    Priority, Requester, Result, Role, SpeechRequest, StepReport, Style, Tts, Usage,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::Instant;

use crate::plan::Planned;
use crate::prompt;
use crate::speech::Clauses;
use crate::turn_context::{Findings, TurnContext};

/// A reply fails when nothing new has come for this long.
pub(crate) const STALLED: Duration = Duration::from_secs(20);
/// Longest reply that is spoken, in bytes of text: at 150 words a minute almost five minutes, more than twice as long as a person may
/// speak in one go. A model that writes more would never end.
const MAX_SPOKEN: usize = 4 << 10;
/// Longest reply that is only written: as much as a client may add to the conversation in one item.
const MAX_WRITTEN: usize = 64 << 10;
/// Most clauses that are written but not spoken yet. When there are that many, the model waits for the voice.
const MAX_CLAUSES: usize = 8;

/// Most chunks of audio of one clause that wait to be sent.
const MAX_CHUNKS: usize = 64;
/// Longest audio of one clause. A clause has a few hundred characters at most, and nobody takes this long to
/// say them.
const MAX_CLAUSE: Duration = Duration::from_mins(2);

/// A part of a reply. Parts come in the order in which they were made.
#[derive(Debug)]
pub(crate) enum ReplyPart {
    /// More text of the reply.
    Text(String),
    /// A clause begins: the audio that follows speaks this text.
    Clause(String),
    /// More audio of the reply.
    Audio(AudioChunk),
    /// A piece of a tool call.
    ToolCall { index: usize, id: Option<String>, name: Option<String>, arguments: String },
    /// The model has written everything, though it is still being spoken.
    Written,
    /// The reply has ended.
    Done { finish: FinishReason, usage: Usage },
}

/// The engine, voice and style with which the reply is spoken.
#[derive(Clone)]
pub(crate) struct Speaker {
    pub(crate) tts: Arc<dyn Tts>,
    pub(crate) requester: Requester,
    pub(crate) voice: Option<String>,
    pub(crate) speed: f32,
    pub(crate) style: Style,
    pub(crate) priority: Priority,
}

/// The question to the model.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) text: Arc<str>,
    /// A hash of the conversation before the question.
    pub(crate) after: u64,
}

/// When each stage of a reply happened first.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplyTimes {
    /// The question, if its answer may be used again.
    question: Option<Question>,
    begun: Option<Instant>,
    /// What had been looked up by the time the model was asked.
    context: Option<Arc<ContextReport>>,
    requested: Option<Instant>,
    first_token: Option<Instant>,
    /// Set if the reply's words came from a cache.
    from_cache: Option<CacheHit>,
    first_clause: Option<Instant>,
    first_audio: Option<Instant>,
}

/// What was looked up for a reply.
#[derive(Debug)]
pub(crate) struct ContextReport {
    pub(crate) emotion: Option<(Emotion, f32)>,
    pub(crate) steps: Vec<StepReport>,
}

/// A request to the language model that waits for its lookups.
pub(crate) struct Planning {
    pub(crate) planned: Planned<TurnContext>,
    pub(crate) llm: Arc<dyn Llm>,
    pub(crate) request: ChatRequest,
    /// The least confidence at which an emotion is acted on, from 0 to 1.
    pub(crate) confidence: f32,
}

impl Planning {
    /// The question, if its answer may be used again.
    fn question(&self) -> Option<Question> {
        let (asked, before) = self.request.messages.split_last()?;
        if self.request.reuse.is_none() || asked.role != Role::User {
            return None;
        }
        let mut after = DefaultHasher::new();
        for message in before {
            (message.role, &message.content).hash(&mut after);
        }
        Some(Question { text: asked.content.as_str().into(), after: after.finish() })
    }
}

impl ReplyTimes {
    /// The question, if its answer may be used again.
    pub(crate) fn question(&self) -> Option<&Question> {
        self.question.as_ref()
    }

    /// What was looked up for the reply.
    pub(crate) fn context(&self) -> Option<&ContextReport> {
        self.context.as_deref()
    }

    /// Whether the reply's words came from a cache, and how they were found.
    pub(crate) fn cache_hit(&self) -> Option<CacheHit> {
        self.from_cache
    }

    /// Time from the request to the first token.
    pub(crate) fn llm_ttft(&self) -> Duration {
        span(self.requested, self.first_token)
    }

    /// Time from the request to the first output: audio, or text if nothing is spoken.
    pub(crate) fn made(&self) -> Duration {
        span(self.begun.or(self.requested), self.first_audio.or(self.first_token))
    }

    /// Time from the first clause to its first audio.
    pub(crate) fn tts_ttfb(&self) -> Duration {
        span(self.first_clause, self.first_audio)
    }

    /// The periods in which the language model and the voice worked on the first output: name, beginning, end.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&'static str, Instant, Instant)> {
        let plan = self.begun.zip(self.requested).map(|(from, to)| ("plan", from, to));
        let llm = self.requested.zip(self.first_token).map(|(from, to)| ("llm", from, to));
        let tts = self.first_clause.zip(self.first_audio).map(|(from, to)| ("tts", from, to));
        plan.into_iter().chain(llm).chain(tts)
    }
}

fn span(from: Option<Instant>, to: Option<Instant>) -> Duration {
    from.zip(to).map_or(Duration::ZERO, |(from, to)| to.saturating_duration_since(from))
}

/// A stream of the parts of a reply.
pub(crate) struct Reply {
    planning: Option<Planning>,
    llm: Option<BoxStream<'static, Result<ChatDelta>>>,
    speaker: Option<Speaker>,
    cutter: Clauses,
    clauses: VecDeque<String>,
    speaking: Option<Clause>,
    /// The next clause, which is synthesised while the current one is sent.
    ahead: Option<Clause>,
    /// Since when words wait for the rest of their clause.
    unspoken_since: Option<Instant>,
    /// How many bytes of text the model has written.
    written: usize,
    /// How many bytes of arguments of tools it has written.
    arguments: usize,
    done: Option<(FinishReason, Usage)>,
    times: ReplyTimes,
}

/// One clause in speech synthesis.
struct Clause {
    /// The clause's text, until it has been announced.
    text: Option<String>,
    audio: BoxStream<'static, Result<AudioChunk>>,
    /// Audio that was made before the clause's turn came.
    made: VecDeque<Result<AudioChunk>>,
    /// How much audio was made in total.
    length: Duration,
    ended: bool,
}

impl Reply {
    /// Asks the language model once its lookups have settled. `speaker` speaks the answer; without one it is
    /// only written.
    pub(crate) fn generate(planning: Planning, speaker: Option<Speaker>) -> Self {
        let times = ReplyTimes {
            question: planning.question(),
            begun: Some(Instant::now()),
            ..ReplyTimes::default()
        };
        Self { planning: Some(planning), times, ..Self::new(None, speaker) }
    }

    /// Speaks a fixed text.
    pub(crate) fn say(text: &str, speaker: Option<Speaker>) -> Self {
        let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
        let parts = [Ok(ChatDelta::Text(text.to_owned())), Ok(done)];
        let times = ReplyTimes { requested: Some(Instant::now()), ..ReplyTimes::default() };
        Self { times, ..Self::new(Some(stream::iter(parts).boxed()), speaker) }
    }

    fn new(llm: Option<BoxStream<'static, Result<ChatDelta>>>, speaker: Option<Speaker>) -> Self {
        Self {
            planning: None,
            llm,
            speaker,
            cutter: Clauses::default(),
            clauses: VecDeque::new(),
            speaking: None,
            ahead: None,
            unspoken_since: None,
            written: 0,
            arguments: 0,
            done: None,
            times: ReplyTimes::default(),
        }
    }

    /// When each stage happened first.
    pub(crate) fn times(&self) -> ReplyTimes {
        self.times.clone()
    }

    /// Makes this reply the continuation of one that called a tool. It keeps the earlier one's question, and the time
    /// since when somebody waits.
    pub(crate) fn following(mut self, earlier: &ReplyTimes) -> Self {
        self.times.question.clone_from(&earlier.question);
        self.times.begun = earlier.begun.or(self.times.begun);
        self
    }

    /// Somebody waits for the reply from now on. Until now it was speculative.
    pub(crate) fn adopt(&mut self) {
        if let Some(speaker) = &mut self.speaker {
            speaker.priority = Priority::LiveTurn;
        }
    }

    /// Whether only the language model is waited for, and not the voice.
    pub(crate) fn waits_for_model(&self) -> bool {
        (self.planning.is_some() || self.llm.is_some()) && self.spoken()
    }

    /// Since when words wait for the rest of their clause while the voice has nothing to say.
    pub(crate) fn unspoken_since(&self) -> Option<Instant> {
        self.unspoken_since.filter(|_| self.spoken())
    }

    /// Speaks the words that wait for the rest of their clause.
    pub(crate) fn speak_unfinished(&mut self) {
        self.clauses.extend(self.cutter.cut());
        self.unspoken_since = None;
    }

    /// Whether the model has written more than can be a reply.
    pub(crate) fn is_endless(&self) -> bool {
        let longest = if self.speaker.is_some() { MAX_SPOKEN } else { MAX_WRITTEN };
        self.written > longest || self.arguments > MAX_WRITTEN
    }

    /// Asks the model as soon as the lookups have settled, successfully or not.
    fn poll_plan(&mut self, cx: &mut Context<'_>) {
        let Some(planning) = &mut self.planning else { return };
        if planning.planned.poll_ready(cx).is_pending() {
            return;
        }
        let Some(Planning { planned, llm, mut request, confidence }) = self.planning.take() else { return };
        let found: &Findings = &planned.turn().found;
        let looked_up =
            found.prompt(confidence).map(|context| prompt::add_context(&mut request.messages, context));
        if let Some(reuse) = &mut request.reuse {
            reuse.looked_up = looked_up;
            reuse.person.take_if(|_| !found.is_personal());
        }
        if let Some(speaker) = &mut self.speaker {
            speaker.style = found.style(confidence);
        }
        let emotion = found.emotion.map(|scores| scores.top());
        self.times.context = Some(Arc::new(ContextReport { emotion, steps: planned.reports().to_vec() }));
        self.times.requested = Some(Instant::now());
        self.llm = Some(llm.chat(request));
    }

    /// The next part from the model; pending while the model has to wait for the voice.
    fn poll_llm(&mut self, cx: &mut Context<'_>) -> Poll<Result<ReplyPart>> {
        while self.clauses.len() < MAX_CLAUSES
            && let Some(llm) = &mut self.llm
        {
            let Some(delta) = std::task::ready!(llm.poll_next_unpin(cx)) else {
                self.llm = None;
                return Poll::Ready(Err(Error::new(ErrorKind::Protocol, "the language model broke off")));
            };
            let delta = delta.inspect_err(|_| self.llm = None)?;
            self.times.first_token.get_or_insert_with(Instant::now);
            match delta {
                ChatDelta::FromCache(hit) => self.times.from_cache = Some(hit),
                ChatDelta::Text(text) if text.is_empty() => {}
                ChatDelta::Text(text) => {
                    self.take_text(&text);
                    return Poll::Ready(Ok(ReplyPart::Text(text)));
                }
                ChatDelta::ToolCall { index, id, name, arguments } => {
                    self.arguments += arguments.len();
                    self.end_if_endless();
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

    fn take_text(&mut self, text: &str) {
        self.written += text.len();
        if self.speaker.is_some() {
            self.cutter.push(text);
            let clauses = self.clauses.len();
            self.clauses.extend(std::iter::from_fn(|| self.cutter.pop()));
            self.unspoken_since.take_if(|_| self.clauses.len() > clauses);
            if self.cutter.has_words() {
                self.unspoken_since.get_or_insert_with(Instant::now);
            }
        }
        self.end_if_endless();
    }

    fn end_if_endless(&mut self) {
        if self.is_endless() {
            self.model_ended(FinishReason::Length, Usage::default());
        }
    }

    fn model_ended(&mut self, finish: FinishReason, usage: Usage) {
        self.llm = None;
        self.done = Some((finish, usage));
        self.unspoken_since = None;
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
            style: speaker.style,
            priority: speaker.priority,
            ..SpeechRequest::new(speaker.requester.clone(), text.clone())
        };
        let audio = speaker.tts.speak(request);
        Some(Clause { text: Some(text), audio, made: VecDeque::new(), length: Duration::ZERO, ended: false })
    }

    fn spoken(&self) -> bool {
        self.speaking.is_none() && self.ahead.is_none() && self.clauses.is_empty()
    }
}

impl Clause {
    /// Moves audio from synthesis to a bounded buffer.
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
        this.poll_plan(cx);
        if let Poll::Ready(part) = this.poll_llm(cx) {
            return Poll::Ready(Some(part));
        }
        if let Poll::Ready(part) = this.poll_tts(cx) {
            // A clause has left the queue, so the model may go on.
            cx.waker().wake_by_ref();
            return Poll::Ready(Some(part));
        }
        if this.planning.is_none() && this.llm.is_none() && this.spoken() {
            return Poll::Ready(
                this.done.take().map(|(finish, usage)| Ok(ReplyPart::Done { finish, usage })),
            );
        }
        Poll::Pending
    }
}

/// The error of a reply of which nothing new has come for [`STALLED`].
pub(crate) fn stalled() -> Error {
    Error::new(ErrorKind::Timeout, format!("no more of the reply came for {} s", STALLED.as_secs()))
}
