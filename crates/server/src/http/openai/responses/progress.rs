//! An answer while it is being written: from the engine's pieces to items, and to the events that tell of them.

use std::sync::Arc;

use antiphon_core::{ChatDelta, Error, ErrorKind, FinishReason, Result, Usage};

use super::super::asked::{MAX_CALLS, append};
use super::super::{random_id, unix_time};
use super::events::{EventBody, ResponseEvent};
use super::response::{
    Echo, IncompleteDetails, OutputItem, OutputPart, ResponseFailure, ResponseObject, ResponseStatus,
    SharedEcho,
};

/// The state of one answer.
pub(super) struct Progress {
    /// With all items that are done.
    response: ResponseObject,
    open: Option<Open>,
    events: u64,
}

/// The item that is being written; it will be the next of the response.
enum Open {
    Message { id: String, text: String },
    Call { index: usize, id: String, call_id: String, name: String, arguments: String },
}

impl Open {
    fn item(self, status: ResponseStatus) -> OutputItem {
        match self {
            Self::Message { id, text } => {
                OutputItem::Message { id, status, role: "assistant", content: vec![OutputPart::text(text)] }
            }
            Self::Call { id, call_id, name, arguments, .. } => {
                OutputItem::FunctionCall { id, status, call_id, name, arguments }
            }
        }
    }
}

impl Progress {
    /// An answer of which nothing is written.
    pub(super) fn new(echo: Echo) -> Self {
        let response = ResponseObject {
            id: random_id("resp_"),
            object: "response",
            created_at: unix_time(),
            status: ResponseStatus::InProgress,
            error: None,
            incomplete_details: None,
            output: Vec::new(),
            usage: None,
            echo: SharedEcho(Arc::new(echo)),
        };
        Self { response, open: None, events: 0 }
    }

    /// The first events of a stream.
    pub(super) fn begin(&mut self) -> Vec<ResponseEvent> {
        let response = || Box::new(self.response.clone());
        let events =
            vec![EventBody::Created { response: response() }, EventBody::InProgress { response: response() }];
        self.numbered(events)
    }

    /// Takes a piece of the answer; gives the events that tell of it.
    pub(super) fn push(&mut self, delta: ChatDelta) -> Result<Vec<ResponseEvent>> {
        let mut events = Vec::new();
        match delta {
            ChatDelta::Text(text) if text.is_empty() => {}
            ChatDelta::Text(text) => self.write(text, &mut events)?,
            ChatDelta::ToolCall { index, id, name, arguments } => {
                if !matches!(&self.open, Some(Open::Call { index: open, .. }) if *open == index) {
                    self.begin_call(index, id, name, &mut events)?;
                }
                self.argue(arguments, &mut events)?;
            }
            ChatDelta::FromCache(_) => {}
            ChatDelta::Done { finish, usage } => self.end(finish, usage, &mut events),
        }
        Ok(self.numbered(events))
    }

    /// The engine failed after it had begun.
    pub(super) fn failure(&mut self, error: &Error) -> ResponseEvent {
        let code =
            if error.kind() == ErrorKind::RateLimited { "rate_limit_exceeded" } else { "server_error" };
        self.response.status = ResponseStatus::Failed;
        self.response.error = Some(ResponseFailure { code, message: error.to_string() });
        self.next(EventBody::Failed { response: Box::new(self.response.clone()) })
    }

    /// What the agent said, by the id of its message.
    pub(super) fn said(&self) -> impl Iterator<Item = (&str, &str)> {
        self.response.output.iter().filter_map(|item| match item {
            OutputItem::Message { id, content, .. } => match content.as_slice() {
                [OutputPart::OutputText { text, .. }] => Some((id.as_str(), text.as_str())),
                _ => None,
            },
            OutputItem::FunctionCall { .. } => None,
        })
    }

    pub(super) fn into_response(self) -> ResponseObject {
        self.response
    }

    fn write(&mut self, delta: String, events: &mut Vec<EventBody>) -> Result<()> {
        if !matches!(self.open, Some(Open::Message { .. })) {
            self.begin_message(events);
        }
        let output_index = self.response.output.len();
        if let Some(Open::Message { id, text }) = &mut self.open {
            append(text, &delta)?;
            let item_id = id.clone();
            events.push(EventBody::TextDelta {
                item_id,
                output_index,
                content_index: 0,
                delta,
                logprobs: [],
            });
        }
        Ok(())
    }

    fn begin_message(&mut self, events: &mut Vec<EventBody>) {
        self.close(ResponseStatus::Completed, events);
        let id = random_id("msg_");
        let output_index = self.response.output.len();
        let (status, role) = (ResponseStatus::InProgress, "assistant");
        let item = OutputItem::Message { id: id.clone(), status, role, content: Vec::new() };
        events.push(EventBody::ItemAdded { output_index, item });
        let (item_id, part) = (id.clone(), OutputPart::text(String::new()));
        events.push(EventBody::PartAdded { item_id, output_index, content_index: 0, part });
        self.open = Some(Open::Message { id, text: String::new() });
    }

    fn begin_call(
        &mut self,
        index: usize,
        call_id: Option<String>,
        name: Option<String>,
        events: &mut Vec<EventBody>,
    ) -> Result<()> {
        self.close(ResponseStatus::Completed, events);
        let calls =
            self.response.output.iter().filter(|item| matches!(item, OutputItem::FunctionCall { .. }));
        let Some(name) = name.filter(|_| calls.count() < MAX_CALLS) else {
            let message = format!(
                "the language model goes on with the tool call {index}, which it never began or had ended, or makes more than {MAX_CALLS}"
            );
            return Err(Error::new(ErrorKind::Protocol, message));
        };
        let (id, call_id) = (random_id("fc_"), call_id.unwrap_or_else(|| random_id("call_")));
        let call = |status| {
            let (id, call_id, name) = (id.clone(), call_id.clone(), name.clone());
            OutputItem::FunctionCall { id, status, call_id, name, arguments: String::new() }
        };
        let output_index = self.response.output.len();
        events.push(EventBody::ItemAdded { output_index, item: call(ResponseStatus::InProgress) });
        self.open = Some(Open::Call { index, id, call_id, name, arguments: String::new() });
        Ok(())
    }

    fn argue(&mut self, delta: String, events: &mut Vec<EventBody>) -> Result<()> {
        let output_index = self.response.output.len();
        if let Some(Open::Call { id, arguments, .. }) = &mut self.open
            && !delta.is_empty()
        {
            append(arguments, &delta)?;
            events.push(EventBody::ArgumentsDelta { item_id: id.clone(), output_index, delta });
        }
        Ok(())
    }

    /// Ends the item that is being written.
    fn close(&mut self, status: ResponseStatus, events: &mut Vec<EventBody>) {
        let Some(open) = self.open.take() else { return };
        let output_index = self.response.output.len();
        match &open {
            Open::Message { id, text } => {
                let (item_id, text, content_index) = (id.clone(), text.clone(), 0);
                let part = OutputPart::text(text.clone());
                let done = item_id.clone();
                events.push(EventBody::TextDone {
                    item_id: done,
                    output_index,
                    content_index,
                    text,
                    logprobs: [],
                });
                events.push(EventBody::PartDone { item_id, output_index, content_index, part });
            }
            Open::Call { id, name, arguments, .. } => {
                let (item_id, name, arguments) = (id.clone(), name.clone(), arguments.clone());
                events.push(EventBody::ArgumentsDone { item_id, output_index, name, arguments });
            }
        }
        let item = open.item(status);
        events.push(EventBody::ItemDone { output_index, item: item.clone() });
        self.response.output.push(item);
    }

    fn end(&mut self, finish: FinishReason, usage: Usage, events: &mut Vec<EventBody>) {
        let incomplete = IncompleteDetails::of(finish);
        let status =
            if incomplete.is_some() { ResponseStatus::Incomplete } else { ResponseStatus::Completed };
        if self.open.is_none() && self.response.output.is_empty() {
            // An answer without words is one all the same.
            self.begin_message(events);
        }
        self.close(status, events);
        self.response.status = status;
        self.response.incomplete_details = incomplete;
        self.response.usage = Some(usage.into());
        let response = Box::new(self.response.clone());
        events.push(match status {
            ResponseStatus::Incomplete => EventBody::Incomplete { response },
            _ => EventBody::Completed { response },
        });
    }

    fn numbered(&mut self, events: Vec<EventBody>) -> Vec<ResponseEvent> {
        events.into_iter().map(|event| self.next(event)).collect()
    }

    fn next(&mut self, event: EventBody) -> ResponseEvent {
        let number = self.events;
        self.events += 1;
        event.numbered(number)
    }
}
