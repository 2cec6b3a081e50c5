//! `POST /v1/audio/transcriptions`: turns a recording into text.

mod decode;
mod format;
mod options;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use antiphon_core::{BoxStream, Priority, Result, SttOptions, Transcript};
use antiphon_desk::Entrant;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{StreamExt, stream as streams};

use self::decode::Decoding;
use self::format::{Plain, Verbose};
use self::options::{Format, Options, TranscriptionForm};
use super::upload::Upload;
use super::{admission, patience};
use crate::app::App;
use crate::http::error::ApiError;
use crate::http::held_body::holding;

/// A transcription in progress.
struct Transcription {
    /// The transcripts: each contains all that has been recognised so far.
    transcripts: BoxStream<'static, Result<Transcript>>,
    /// How many samples at 16 kHz the engine has received.
    taken: Arc<AtomicU64>,
}

/// The transcript of a whole file.
struct Understood {
    transcript: Transcript,
    duration_s: f64,
}

/// Transcribes an audio file.
#[utoipa::path(
    post, path = "/v1/audio/transcriptions", tag = "OpenAI",
    request_body(content = TranscriptionForm, content_type = "multipart/form-data"),
    responses((status = 200, content(
        (Plain = "application/json"), (Verbose = "application/json"), (String = "text/plain"),
        (stream::TextEvent = "text/event-stream"),
    ), description = "What was said, in the format asked for")),
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(entrant): Extension<Entrant>,
    parts: Result<Multipart, MultipartRejection>,
) -> Result<Response, ApiError> {
    admission::engines(&app)?;
    let arriving = admission::arrive(&app, &entrant)?;
    let upload = Upload::receive(parts).await?;
    drop(arriving);
    let place = admission::place(&app)?;
    let options = Options::parse(&upload, app.desk.engines.stt.only_language())?;
    let stt = SttOptions {
        language: options.language.clone(),
        prompt: options.prompt.clone(),
        partials: options.streamed,
        priority: Priority::Interactive,
        ..SttOptions::new(app.desk.requester(&entrant))
    };
    let transcription = Transcription::begin(&app, upload.file, stt).await?;
    if options.streamed {
        return Ok(holding(stream::response(transcription.transcripts).await?, place));
    }
    let understood = transcription.finish().await?;
    Ok(holding(in_format(&understood, &options), place))
}

/// Refuses translation, which is not supported. The route exists so that clients learn the reason.
#[utoipa::path(
    post, path = "/v1/audio/translations", tag = "OpenAI",
    responses((status = 400, description = "Translation is not supported")),
)]
pub(super) async fn translate() -> ApiError {
    let message = "audio cannot be translated; transcribe it with /v1/audio/transcriptions and have the text \
                   translated with /v1/chat/completions";
    ApiError::invalid(message).code("unsupported")
}

impl Transcription {
    async fn begin(app: &App, file: std::fs::File, options: SttOptions) -> Result<Self> {
        let engine = &app.desk.engines.stt;
        let Decoding { audio, taken, thread } = Decoding::begin(file).await?;
        let transcripts = engine.transcribe(options, audio);
        let transcripts = patience::bounded(transcripts, engine.name(), Arc::clone(&taken));
        // A file that is cut off is an error even if the engine has recognised what there was.
        let failure = streams::once(decode::failure(thread)).filter_map(async |failure| failure.map(Err));
        Ok(Self { transcripts: transcripts.chain(failure).boxed(), taken })
    }

    async fn finish(mut self) -> Result<Understood> {
        let mut last = Transcript::default();
        while let Some(transcript) = self.transcripts.next().await {
            last = transcript?;
        }
        let duration_s = decode::seconds(self.taken.load(Ordering::Relaxed));
        Ok(Understood { transcript: last, duration_s })
    }
}

fn in_format(understood: &Understood, options: &Options) -> Response {
    let text = |media_type, body: String| ([(header::CONTENT_TYPE, media_type)], body).into_response();
    match options.format {
        Format::Json => Json(Plain::new(understood)).into_response(),
        Format::VerboseJson => Json(Verbose::new(understood, options)).into_response(),
        Format::Text => text("text/plain; charset=utf-8", format!("{}\n", understood.transcript.text)),
        Format::Srt => text("application/x-subrip; charset=utf-8", format::srt(&understood.segments())),
        Format::Vtt => text("text/vtt; charset=utf-8", format::vtt(&understood.segments())),
    }
}
