//! Reading the completion of a vendor's language model.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_core::trace::TraceContext;
use antiphon_core::{BoxStream, ChatDelta, ChatRequest, FinishReason, Result, Stream, Usage};
use futures_util::{StreamExt, TryStreamExt, stream};
use rand::RngCore;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response};
use tokio::time::timeout;

use super::{Remote, ServerEvent};

/// How long to wait for the token counts after the reason of the end. Servers send them at once, and a reply must not
/// wait longer for them.
const USAGE_WITHIN: Duration = Duration::from_secs(2);

/// The content of one event of a completion.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// More of the completion; never [`ChatDelta::Done`].
    pub(crate) deltas: Vec<ChatDelta>,
    /// Why the model wrote no more, once it is known.
    pub(crate) finish: Option<FinishReason>,
    /// The tokens used so far.
    pub(crate) usage: Option<Usage>,
    /// Whether no event follows.
    pub(crate) last: bool,
}

/// The format of a vendor's completions. One value reads one completion.
pub(crate) trait Dialect: Send + 'static {
    /// Reads an event, which may contain anything.
    fn read(&mut self, remote: &Remote, event: &ServerEvent) -> Result<Chunk>;
}

/// A random id for a tool call whose vendor sends none.
pub(crate) fn call_id() -> String {
    format!("call_{:016x}", rand::rng().next_u64())
}

/// The deltas of the completion that `asked` and its HTTP form `post` ask for, ending with exactly one `Done` or an error.
pub(crate) fn completion(
    remote: &Remote,
    post: RequestBuilder,
    asked: &ChatRequest,
    dialect: impl Dialect,
) -> BoxStream<'static, Result<ChatDelta>> {
    let remote = remote.clone();
    let single_call = asked.single_call;
    let post = match asked.trace {
        Some(trace) => post.header(TraceContext::HEADER, trace.to_string()),
        None => post,
    };
    stream::once(async move {
        let response = remote.send(post).await?;
        Ok(read(remote, response, single_call, dialect))
    })
    .try_flatten()
    .boxed()
}

/// The deltas of a completion whose answer has begun. With `single_call` all calls but the first are left out: some
/// vendors cannot be told so, and some servers do not keep to it.
pub(crate) fn read(
    remote: Remote,
    response: Response,
    single_call: bool,
    dialect: impl Dialect,
) -> impl Stream<Item = Result<ChatDelta>> {
    let reading = Reading {
        strange: strange(&response),
        events: remote.events(response),
        remote,
        dialect,
        ready: VecDeque::new(),
        single_call,
        called: None,
        finish: None,
        usage: Usage::default(),
        over: false,
    };
    stream::unfold(Some(reading), |reading| async move { reading?.next().await })
}

/// Why an answer is not a stream of events, judged by its headers. Some servers send wrong headers with a stream of
/// events, so this counts only when no event comes.
fn strange(response: &Response) -> Option<String> {
    let header =
        |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let encoding = header(CONTENT_ENCODING);
    if !matches!(encoding, "" | "identity") {
        return Some(format!("an answer encoded as {encoding}, which was not asked for"));
    }
    let kind = header(CONTENT_TYPE);
    (!kind.starts_with("text/event-stream"))
        .then(|| format!("\"{kind}\" where a stream of events was asked for: is base_url right?"))
}

/// A completion that is being read.
struct Reading<D> {
    remote: Remote,
    dialect: D,
    events: BoxStream<'static, Result<ServerEvent>>,
    /// Why the answer seems not to be a stream of events; `None` after the first event.
    strange: Option<String>,
    /// Deltas that were read but not returned yet.
    ready: VecDeque<ChatDelta>,
    /// Whether all tool calls but the first are left out.
    single_call: bool,
    /// The number of the first tool call.
    called: Option<usize>,
    finish: Option<FinishReason>,
    usage: Usage,
    over: bool,
}

impl<D: Dialect> Reading<D> {
    async fn next(mut self) -> Option<(Result<ChatDelta>, Option<Self>)> {
        loop {
            if let Some(delta) = self.ready.pop_front() {
                return Some((Ok(delta), Some(self)));
            }
            if self.over {
                return Some((Ok(self.done()), None));
            }
            match self.chunk().await {
                Ok(chunk) => self.take(chunk),
                // After the reason of the end the reply is complete: only the token counts are missing.
                Err(_) if self.finish.is_some() => self.over = true,
                Err(error) => return Some((Err(error), None)),
            }
        }
    }

    async fn chunk(&mut self) -> Result<Chunk> {
        let event = match self.finish {
            None => self.events.next().await,
            Some(_) => timeout(USAGE_WITHIN, self.events.next()).await.unwrap_or_default(),
        };
        match event {
            Some(event) => {
                let event = event?;
                self.strange = None;
                self.dialect.read(&self.remote, &event)
            }
            None => Err(match &self.strange {
                Some(strange) => self.remote.protocol(strange),
                None => self.remote.broke_off(),
            }),
        }
    }

    fn take(&mut self, chunk: Chunk) {
        for delta in chunk.deltas {
            let is_left_out = match delta {
                ChatDelta::ToolCall { index, .. } => {
                    *self.called.get_or_insert(index) != index && self.single_call
                }
                _ => false,
            };
            if !is_left_out {
                self.ready.push_back(delta);
            }
        }
        self.finish = chunk.finish.or(self.finish);
        self.usage = chunk.usage.unwrap_or(self.usage);
        self.over |= chunk.last;
    }

    fn done(&self) -> ChatDelta {
        let finish = match self.finish.unwrap_or(FinishReason::Stop) {
            // Gemini and some servers with OpenAI's API say "stop" after tool calls.
            FinishReason::Stop if self.called.is_some() => FinishReason::ToolCalls,
            finish => finish,
        };
        ChatDelta::Done { finish, usage: self.usage }
    }
}
