//! `POST /v1/responses`: answers a conversation in writing, in the newer form of OpenAI's API. Nothing is stored: clients send the
//! whole conversation each time.

mod events;
mod items;
mod progress;
mod request;
mod response;

use std::pin::Pin;
use std::sync::Arc;

use antiphon_core::trace::TraceContext;
use antiphon_core::{BoxStream, ChatDelta, ChatRequest, Error, Requester, Result};
use antiphon_desk::Entrant;
use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{StreamExt, stream};

use self::progress::Progress;
use self::request::ResponseRequest;
use super::{patience, sse};
use crate::app::App;
use crate::http::body::Body;
use crate::http::error::ApiError;
use crate::said_lately::SaidLately;

type Answers = BoxStream<'static, Result<ChatDelta>>;

/// Answers a conversation, either as a whole or as a stream of events.
#[utoipa::path(
    post, path = "/v1/responses", tag = "OpenAI", request_body = ResponseRequest,
    responses((status = 200, content(
        (response::ResponseObject = "application/json"),
        (events::ResponseEvent = "text/event-stream"),
    ), description = "The answer; with `stream` as events, the last of them with the whole answer")),
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(entrant): Extension<Entrant>,
    Extension(trace): Extension<TraceContext>,
    Body(body): Body<ResponseRequest>,
) -> Result<Response, ApiError> {
    let requester = app.desk.requester(&entrant);
    let streamed = body.streamed();
    let engine = &app.desk.engines.llm;
    let echo = body.echo(engine.card().model)?;
    let request = body.into_request(requester.clone(), &app.said)?;
    let model = app.http.model(request.model.as_deref());
    let request = ChatRequest { model, trace: Some(trace), ..request };
    let answers = patience::bounded(engine.chat(request), engine.card().name, Arc::default());
    let answering = Answering { progress: Progress::new(echo), kept: Arc::clone(&app.said), requester };
    if streamed {
        return answering.stream_of(answers).await;
    }
    Ok(Json(answering.whole(answers).await?).into_response())
}

/// An answer that is being written for somebody.
struct Answering {
    progress: Progress,
    kept: Arc<SaidLately>,
    requester: Requester,
}

impl Answering {
    async fn whole(mut self, mut answers: Answers) -> Result<response::ResponseObject> {
        while let Some(delta) = answers.next().await {
            let is_last = matches!(delta, Ok(ChatDelta::Done { .. }));
            self.progress.push(delta?)?;
            if is_last {
                self.keep();
                return Ok(self.progress.into_response());
            }
        }
        Err(Error::internal("the language model ended without an answer"))
    }

    /// The status is sent only once the engine has produced something, so that an earlier failure is an ordinary error.
    async fn stream_of(mut self, answers: Answers) -> Result<Response, ApiError> {
        let mut answers = answers.peekable();
        match Pin::new(&mut answers).peek().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.clone().into()),
            None => return Err(Error::internal("the language model ended without an answer").into()),
        }
        let first = stream::iter(self.progress.begin().into_iter().map(|event| event.sent()));
        let rest = stream::unfold(Some((self, answers)), |going_on| async move {
            let (mut answering, mut answers) = going_on?;
            let ended = || Err(Error::internal("the language model ended without an answer"));
            let (events, is_over) = answering.events(answers.next().await.unwrap_or_else(ended));
            Some((stream::iter(events), (!is_over).then_some((answering, answers))))
        });
        Ok(sse::response(first.chain(rest.flatten())))
    }

    /// The events of a piece, and whether they are the last.
    fn events(&mut self, delta: Result<ChatDelta>) -> (Vec<Event>, bool) {
        let is_last = matches!(delta, Ok(ChatDelta::Done { .. }));
        let events = match delta.and_then(|delta| self.progress.push(delta)) {
            Ok(events) => events,
            Err(error) => return (vec![self.progress.failure(&error).sent()], true),
        };
        if is_last {
            self.keep();
        }
        (events.into_iter().map(|event| event.sent()).collect(), is_last)
    }

    /// Some clients send the id alone of what the agent said.
    fn keep(&self) {
        for (id, text) in self.progress.said() {
            self.kept.keep(&self.requester, id, text);
        }
    }
}
