//! `POST /v1/chat/completions`: answers a conversation in writing.

mod reply;
mod request;

use std::pin::Pin;
use std::sync::Arc;

use antiphon_core::trace::TraceContext;
use antiphon_core::{BoxStream, ChatDelta, ChatRequest, Error, Result};
use antiphon_desk::Entrant;
use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{StreamExt, stream};

use self::reply::{Chunks, Completion};
use self::request::ChatBody;
use super::{patience, sse};
use crate::app::App;
use crate::http::body::Body;
use crate::http::error::ApiError;

type Answers = BoxStream<'static, Result<ChatDelta>>;

/// Answers a conversation, either as a whole or as a stream of pieces.
#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "OpenAI", request_body = ChatBody,
    responses((status = 200, content(
        (Completion = "application/json"),
        (reply::Chunk = "text/event-stream"),
    ), description = "The answer; with `stream` as chunks, the last of them `[DONE]`")),
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(entrant): Extension<Entrant>,
    Extension(trace): Extension<TraceContext>,
    Body(body): Body<ChatBody>,
) -> Result<Response, ApiError> {
    let streamed = body.streamed();
    let engine = &app.desk.engines.llm;
    let request = body.into_request(app.desk.requester(&entrant))?;
    let model = app.http.model(request.model.as_deref());
    let request = ChatRequest { model, trace: Some(trace), ..request };
    let answers = patience::bounded(engine.chat(request), engine.card().name, Arc::default());
    match streamed {
        Some(options) => {
            stream_of(answers, Chunks::new(engine.card().model, options.include_usage == Some(true))).await
        }
        None => Ok(Json(whole(answers, engine.card().model).await?).into_response()),
    }
}

async fn whole(mut answers: Answers, model: &str) -> Result<Completion> {
    let mut completion = Completion::new(model);
    while let Some(delta) = answers.next().await {
        completion.push(delta?)?;
    }
    Ok(completion)
}

/// The status is sent only once the engine has produced something, so that an earlier failure is an ordinary error.
async fn stream_of(answers: Answers, chunks: Chunks) -> Result<Response, ApiError> {
    let mut answers = answers.peekable();
    match Pin::new(&mut answers).peek().await {
        Some(Ok(_)) => {}
        Some(Err(error)) => return Err(error.clone().into()),
        None => return Err(Error::internal("the language model ended without an answer").into()),
    }
    let first = stream::iter([sse::event(&chunks.first())]);
    let rest = answers.flat_map(move |delta| stream::iter(events(&chunks, delta)));
    Ok(sse::response(first.chain(rest)))
}

fn events(chunks: &Chunks, delta: Result<ChatDelta>) -> Vec<Event> {
    match delta {
        Err(error) => vec![sse::failure(error)],
        Ok(ChatDelta::Done { finish, usage }) => {
            let last = chunks.last(finish, usage);
            let mut events: Vec<Event> = last.iter().map(sse::event).collect();
            events.push(Event::default().data("[DONE]"));
            events
        }
        Ok(delta) => chunks.next(delta).as_ref().map(sse::event).into_iter().collect(),
    }
}
