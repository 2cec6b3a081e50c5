//! `GET /v1/audio/voices` and `GET /v1/audio/models`: what speech can be asked for. OpenAI has neither, but servers that speak have them,
//! and clients such as Open WebUI fill their lists from them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

/// A voice that speech requests and calls may name.
#[derive(Serialize, ToSchema)]
struct SpeakingVoice {
    id: String,
    name: String,
    /// As in BCP 47, such as `en-US`.
    language: String,
}

/// The voices of the engine, the default one first.
#[derive(Serialize, ToSchema)]
pub(super) struct VoiceList {
    voices: Vec<SpeakingVoice>,
}

/// An engine that speaks.
#[derive(Serialize, ToSchema)]
struct SpeakingModel {
    id: String,
    name: String,
}

/// The engines that speak.
#[derive(Serialize, ToSchema)]
pub(super) struct SpeakingModelList {
    models: Vec<SpeakingModel>,
}

/// Lists the voices.
#[utoipa::path(
    get, path = "/v1/audio/voices", tag = "OpenAI",
    responses((status = 200, description = "The voices", body = VoiceList)),
)]
pub(super) async fn voices(State(app): State<Arc<App>>) -> Json<VoiceList> {
    let card = app.desk.engines.tts.card();
    let voices = card.voices.iter().map(|voice| SpeakingVoice {
        id: voice.id.clone(),
        name: voice.id.clone(),
        language: voice.language.clone(),
    });
    Json(VoiceList { voices: voices.collect() })
}

/// Lists the engines that speak.
#[utoipa::path(
    get, path = "/v1/audio/models", tag = "OpenAI",
    responses((status = 200, description = "The engines", body = SpeakingModelList)),
)]
pub(super) async fn models(State(app): State<Arc<App>>) -> Json<SpeakingModelList> {
    let name = app.desk.engines.tts.card().name;
    Json(SpeakingModelList { models: vec![SpeakingModel { id: name.to_owned(), name: name.to_owned() }] })
}
