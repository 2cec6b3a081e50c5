//! Tools that the server runs. When the model has written a reply that calls some, they run side by side, and the same
//! reply goes on with what the model makes of their answers. A client sees one reply and no call that it would have to
//! answer.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::{
    BoxFuture, ConversationItem, Error, ErrorKind, Event, ItemContent, ItemId, ItemStatus, ReplyId, Result,
    ToolAnswer, ToolCall, ToolCaller, ToolChoice, Tools,
};
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::Session;
use crate::ids;

/// A tool that has not answered by then is given up: the caller waits in silence meanwhile.
const WITHIN: Duration = Duration::from_secs(10);
/// Rounds of calls in one reply. After them the model must answer: one that calls on and on never would.
const MAX_ROUNDS: u32 = 4;
/// Calls in one round; what more the model calls at once is refused.
const MAX_CALLS: usize = 8;

/// A tool that was run.
#[derive(Debug)]
pub(super) struct ToolRun {
    call: ToolCall,
    answer: Result<ToolAnswer>,
    took: Duration,
}

/// The server's tools that one reply calls.
pub(super) struct ServerCalls {
    /// The names of the server's tools.
    names: Arc<[String]>,
    /// What the model has called in this round, each with its place among the calls of the completion.
    called: Vec<(usize, ToolCall)>,
    running: Option<BoxFuture<'static, Vec<ToolRun>>>,
    rounds: u32,
}

impl ServerCalls {
    pub(super) fn new(names: Arc<[String]>) -> Self {
        Self { names, called: Vec::new(), running: None, rounds: 0 }
    }

    /// Takes a piece of a tool call, if it is one of the server's; `name` comes with a call's first piece only.
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

    /// Whether some are called and not run yet.
    pub(super) fn are_due(&self) -> bool {
        !self.called.is_empty()
    }

    /// Whether none is called or running.
    pub(super) fn are_done(&self) -> bool {
        self.called.is_empty() && self.running.is_none()
    }

    /// The reply has failed: nobody waits for the answers.
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
    /// The names of the tools that the server runs in this call: a tool of the client's with the same name goes before.
    pub(super) fn server_tools(&self) -> Arc<[String]> {
        let Some(tools) = &self.agent.tools else { return Arc::default() };
        let clients = &self.config.model.tools;
        let names = tools.list().into_iter().map(|tool| tool.name);
        names.filter(|name| clients.iter().all(|tool| tool.name != *name)).collect()
    }

    /// Runs what the reply has called.
    pub(super) fn run_tools(&mut self) {
        let (Some(active), Some(tools)) = (&mut self.reply, &self.agent.tools) else { return };
        let caller = ToolCaller { call: self.call.id.clone(), identity: self.call.identity.clone() };
        active.calls.run(tools, &caller);
    }

    /// The tools have answered: the reply goes on.
    pub(super) fn go_on_with(&mut self, runs: Vec<ToolRun>) {
        let Some(active) = &self.reply else { return };
        let (reply, request, times) = (active.id.clone(), active.request.clone(), active.times.clone());
        let last_round = active.calls.rounds >= MAX_ROUNDS;
        for run in runs {
            self.keep_run(&reply, run);
        }
        let mut chat = self.chat_request(&request);
        if last_round {
            chat.tools.clear();
        }
        // A model that must call a tool would call it again and again.
        if matches!(chat.tool_choice, ToolChoice::Required | ToolChoice::Function(_)) {
            chat.tool_choice = ToolChoice::Auto;
        }
        let next = self.asking().generate(self.last_said(), chat, &request).following(&times);
        if let Some(active) = &mut self.reply {
            (active.reply, active.latest) = (Some(next), Instant::now());
        }
    }

    /// Puts the call and its answer into the conversation, where the model reads them and the client does not.
    fn keep_run(&mut self, reply: &ReplyId, run: ToolRun) {
        let ToolRun { call, answer, took } = run;
        let error = answer.as_ref().err().cloned();
        let (call_id, tool) = (call.id.clone(), call.name.clone());
        let text = match answer {
            Ok(ToolAnswer { text, control: None }) => text,
            Ok(ToolAnswer { text, control: Some(control) }) if self.transport.can(&control) => {
                if let Some(active) = &mut self.reply {
                    active.then = Some(control);
                }
                text
            }
            Ok(ToolAnswer { text, .. }) => format!("{text}\n(This line cannot do that.)"),
            Err(error) => format!("The tool failed: {error}"),
        };
        for content in [ItemContent::ToolCall(call), ItemContent::ToolOutput { call_id, output: text }] {
            let id = ItemId::new(ids::unique("item_"));
            self.history.push_hidden(ConversationItem { id, content, status: ItemStatus::Completed });
        }
        self.emit(Event::ToolRan { reply: reply.clone(), tool, took, error });
    }
}
