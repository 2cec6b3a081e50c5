//! `POST /v1/audio/speech`: speaks a text.

mod encode;
mod request;

use std::pin::Pin;
use std::sync::Arc;

use antiphon_core::{AudioChunk, BoxStream, Error, Priority, Requester, Result, SpeechRequest};
use antiphon_desk::{Desk, Entrant};
use axum::Extension;
use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use utoipa::ToSchema;

use self::request::{Say, SpeechBody};
use super::{admission, patience, sse};
use crate::app::App;
use crate::http::body::Body;
use crate::http::error::ApiError;

/// The events of a stream: pieces of audio, then the end.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type")]
enum SpeechEvent {
    #[serde(rename = "speech.audio.delta")]
    Delta {
        /// The next bytes of the audio file, in base64.
        audio: String,
    },
    #[serde(rename = "speech.audio.done")]
    Done { usage: SpeechUsage },
}

/// Always zero, because speech engines do not count tokens.
#[derive(Debug, Default, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are OpenAI's")]
struct SpeechUsage {
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
}

/// Speaks a text.
///
/// The audio is sent while it is being made. With `Cache-Control: no-cache` nothing comes from the cache.
#[utoipa::path(
    post, path = "/v1/audio/speech", tag = "OpenAI", request_body = SpeechBody,
    responses((status = 200, content(
        (Vec<u8> = "audio/mpeg"), (Vec<u8> = "audio/ogg"), (Vec<u8> = "audio/flac"), (Vec<u8> = "audio/wav"),
        (Vec<u8> = "audio/pcm"), (SpeechEvent = "text/event-stream"),
    ), description = "The audio, as it is made")),
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(entrant): Extension<Entrant>,
    headers: HeaderMap,
    Body(body): Body<SpeechBody>,
) -> Result<Response, ApiError> {
    admission::engines(&app)?;
    let say = body.into_request()?;
    let mut spoken = speak(&app.desk, &say, app.desk.requester(&entrant), may_reuse(&headers)).peekable();
    // The status is sent only once there is audio, so that an earlier failure is an ordinary error.
    let rate = match Pin::new(&mut spoken).peek().await {
        Some(Ok(chunk)) => chunk.rate,
        Some(Err(error)) => return Err(error.clone().into()),
        None => return Err(ApiError::invalid_param("input", "input holds nothing that can be spoken")),
    };
    let bytes = encode::stream(spoken.boxed(), say.format, rate, Arc::clone(&app.cpu_pool))?;
    if say.events {
        return Ok(sse::response(events(bytes)));
    }
    Ok(([(header::CONTENT_TYPE, say.format.content_type())], HttpBody::from_stream(bytes)).into_response())
}

/// Whether the audio may come from the cache, by HTTP's rules (RFC 9111, section 5.2.1).
fn may_reuse(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = values.flat_map(|value| value.split(','));
    !directives
        .any(|directive| ["no-cache", "no-store"].iter().any(|it| directive.trim().eq_ignore_ascii_case(it)))
}

/// The audio of the clauses one after the other. Each begins as soon as the one before is made.
fn speak(
    desk: &Desk,
    say: &Say,
    requester: Requester,
    reuse: bool,
) -> BoxStream<'static, Result<AudioChunk>> {
    let engine = Arc::clone(&desk.engines.tts);
    let (voice, speed) = (say.voice.clone(), say.speed);
    stream::iter(say.clauses.clone())
        .flat_map(move |text| {
            let audio = engine.speak(SpeechRequest {
                voice: voice.clone(),
                speed,
                priority: Priority::Interactive,
                reuse,
                ..SpeechRequest::new(requester.clone(), text)
            });
            patience::bounded(audio, engine.card().name, Arc::default())
        })
        .filter(|chunk| std::future::ready(!chunk.as_ref().is_ok_and(|chunk| chunk.samples.is_empty())))
        .boxed()
}

fn events(bytes: BoxStream<'static, Result<Bytes>>) -> BoxStream<'static, Event> {
    let event = |bytes: Result<Bytes, Error>| match bytes {
        Ok(bytes) => sse::event(&SpeechEvent::Delta { audio: BASE64.encode(bytes) }),
        Err(error) => sse::failure(error),
    };
    let done = stream::once(async { sse::event(&SpeechEvent::Done { usage: SpeechUsage::default() }) });
    bytes.map(event).chain(done).boxed()
}
