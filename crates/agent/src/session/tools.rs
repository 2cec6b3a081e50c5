//! Tools that the server runs. When the model has written a reply that calls tools, they run concurrently, and the
//! same reply continues with what the model makes of their answers. The client sees a single reply, and no tool call
//! that it would have to answer.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::session::{ReplyInput, ReplyRequest};
use antiphon_core::{
    BoxFuture, ConversationItem, Error, ErrorKind, Event, ItemContent, ItemId, ItemStatus, Result,
    ToolAnswer, ToolCall, ToolCaller, ToolChoice, Tools,
};
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::Session;
use crate::ids;

/// A tool that has not answered by then is given up, because the caller is waiting in silence.
const WITHIN: Duration = Duration::from_secs(10);
/// Most rounds of calls in one reply. After them the model must answer; some models would never stop calling.
const MAX_ROUNDS: u32 = 4;
/// Most calls in one round; any further ones are refused.
const MAX_CALLS: usize = 8;
/// Most bytes of a tool's answer that the model reads. These are about 4,000 tokens, which still fit beside the
/// conversation into the context of the smallest models that are run here.
const MAX_ANSWER: usize = 16 << 10;

/// The result of one tool call.
#[derive(Debug)]
pub(super) struct ToolRun {
    call: ToolCall,
    answer: Result<ToolAnswer>,
    took: Duration,
}

/// The calls that one reply makes of the server's tools.
pub(super) struct ServerCalls {
    /// The names of the server's tools.
    names: Arc<[String]>,
    /// The calls of this round, each with its index in the completion.
    called: Vec<(usize, ToolCall)>,
    running: Option<BoxFuture<'static, Vec<ToolRun>>>,
    rounds: u32,
}

impl ServerCalls {
    pub(super) fn new(names: Arc<[String]>) -> Self {
        Self { names, called: Vec::new(), running: None, rounds: 0 }
    }

    /// Takes in a piece of a tool call, if the tool is one of the server's. `name` comes only with the first piece.
    pub(super) fn take(
        &mut self,
        index: usize,
        id: Option<&str>,
        name: Option<&str>,
        arguments: &str,
    ) -> bool {
        if let Some((_, call)) = self.called.iter_mut().find(|(at, _)| *at == index) {
            call.arguments.push_str(arguments);
            return true;
        }
        let Some(name) = name.filter(|name| self.names.iter().any(|ours| ours == name)) else { return false };
        let id = id.map_or_else(|| ids::unique("call_"), str::to_owned);
        let call = ToolCall { id, name: name.to_owned(), arguments: arguments.to_owned() };
        self.called.push((index, call));
        true
    }

    /// Whether tools have been called that do not run yet.
    pub(super) fn are_due(&self) -> bool {
        !self.called.is_empty()
    }

    /// Whether no tool is called or running.
    pub(super) fn are_done(&self) -> bool {
        self.called.is_empty() && self.running.is_none()
    }

    /// Drops all calls, because the reply has failed and nobody waits for their answers.
    pub(super) fn forget(&mut self) {
        self.called.clear();
        self.running = None;
    }

    fn run(&mut self, tools: &Arc<dyn Tools>, caller: &ToolCaller) {
        self.rounds += 1;
        let called = std::mem::take(&mut self.called).into_iter().map(|(_, call)| call);
        let runs = called.enumerate().map(|(n, call)| {
            let refused = || Error::invalid(format!("more than {MAX_CALLS} tools were called at once"));
            let answer = if n < MAX_CALLS { Ok(tools.run(caller, call.clone())) } else { Err(refused()) };
            run_one(call, answer)
        });
        self.running = Some(join_all(runs).boxed());
    }

    pub(super) fn poll_answers(&mut self, cx: &mut Context<'_>) -> Poll<Vec<ToolRun>> {
        let Some(running) = &mut self.running else { return Poll::Pending };
        let runs = std::task::ready!(running.poll_unpin(cx));
        self.running = None;
        Poll::Ready(runs)
    }
}

async fn run_one(call: ToolCall, answer: Result<BoxFuture<'static, Result<ToolAnswer>>>) -> ToolRun {
    let begun = Instant::now();
    let answer = match answer {
        Ok(running) => timeout(WITHIN, running).await.unwrap_or_else(|_| {
            let message = format!("the tool did not answer within {} s", WITHIN.as_secs());
            Err(Error::new(ErrorKind::Timeout, message))
        }),
        Err(refused) => Err(refused),
    };
    ToolRun { call, answer, took: begun.elapsed() }
}

impl Session {
    /// The names of the tools that the server runs in this reply. A tool of the client with the same name
    /// takes precedence.
    pub(super) fn server_tools(&self, request: &ReplyRequest) -> Arc<[String]> {
        let clients = request.tools.as_ref().unwrap_or(&self.config.model.tools);
        self.agent.tools_beside(clients, request).into_iter().map(|tool| tool.name).collect()
    }

    /// Runs the tools that the reply has called. Fails the reply of a model that never stops calling, because the
    /// caller waits.
    pub(super) fn run_tools(&mut self) {
        let (Some(active), Some(tools)) = (&mut self.reply, &self.agent.tools) else { return };
        if active.calls.rounds >= MAX_ROUNDS {
            let message = format!("the model called tools again after {MAX_ROUNDS} rounds of calls");
            self.reply_on(Some(Err(Error::new(ErrorKind::Protocol, message))));
            return;
        }
        let caller = ToolCaller { call: self.call.id.clone(), identity: self.call.identity.clone() };
        active.calls.run(tools, &caller);
    }

    /// The tools have answered, and the reply continues. If it called tools of the client as well, it ends here, and
    /// the client requests the next reply once it has answered them.
    pub(super) fn go_on_with(&mut self, runs: Vec<ToolRun>) {
        let said = self.keep_said();
        for run in runs {
            self.keep_run(run);
        }
        let Some(active) = &self.reply else { return };
        if active.calls_client() {
            self.reply_is_made();
            return;
        }
        let (request, times) = (active.request.clone(), active.times.clone());
        let mut chat = self.chat_request(&request);
        if active.calls.rounds >= MAX_ROUNDS {
            chat.tools.clear();
        }
        // If the model were still required to call a tool, it would call it again and again.
        if matches!(chat.tool_choice, ToolChoice::Required | ToolChoice::Function(_)) {
            chat.tool_choice = ToolChoice::Auto;
        }
        let next = self.asking().generate(self.last_said(), chat, &request).following(&times);
        if let Some(active) = &mut self.reply {
            (active.reply, active.latest) = (Some(next), Instant::now());
        }
        if let Some(said) = said {
            self.history.move_past_hidden(&said);
        }
    }

    /// Puts what the model said before the call into the conversation before the call, because the model reads it
    /// there when it continues.
    fn keep_said(&mut self) -> Option<ItemId> {
        let active = self.reply.as_mut()?;
        let said = active.said()?.clone();
        if let Some(input) = &mut active.request.input {
            // All of it so far takes the place of what an earlier round read of it.
            input.retain(|input| !matches!(input, ReplyInput::Item(item) if item.id == said.id));
            input.push(ReplyInput::Item(said.clone()));
        }
        let id = said.id.clone();
        self.history.update(said);
        Some(id)
    }

    /// Adds the call and its answer to the conversation. The model reads them, and the client does not see them.
    fn keep_run(&mut self, run: ToolRun) {
        let ToolRun { call, answer, took } = run;
        let Some(active) = &mut self.reply else { return };
        let error = answer.as_ref().err().cloned();
        let (call_id, tool) = (call.id.clone(), call.name.clone());
        let output = match answer {
            Ok(ToolAnswer { text, control: None }) => cut(text),
            Ok(ToolAnswer { text, control: Some(control) }) if self.transport.can(&control) => {
                active.then = Some(control);
                cut(text)
            }
            Ok(ToolAnswer { text, .. }) => format!("{}\n(This line cannot do that.)", cut(text)),
            Err(error) => format!("The tool failed: {error}"),
        };
        for content in [ItemContent::ToolCall(call), ItemContent::ToolOutput { call_id, output }] {
            let id = ItemId::new(ids::unique("item_"));
            let item = ConversationItem { id, content, status: ItemStatus::Completed };
            if let Some(input) = &mut active.request.input {
                input.push(ReplyInput::Item(item.clone()));
            }
            self.history.push_hidden(item);
        }
        let reply = active.id.clone();
        self.emit(Event::ToolRan { reply, tool, took, error });
    }
}

/// Cuts a tool's answer to the length that a model can read.
fn cut(mut text: String) -> String {
    if text.len() > MAX_ANSWER {
        text.truncate(text.floor_char_boundary(MAX_ANSWER));
        text.push_str("\n(The rest was cut off.)");
    }
    text
}
