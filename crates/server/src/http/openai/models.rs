//! `GET /v1/models`: the engines as models.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::error::ApiError;
use crate::app::App;

/// An engine that clients may name as `model`.
#[derive(Serialize, ToSchema)]
pub(super) struct Model {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

/// The list of the models of all stages.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelList {
    object: &'static str,
    data: Vec<Model>,
}

/// Lists the models: language, embeddings, speech recognition, speech synthesis.
#[utoipa::path(
    get, path = "/v1/models", tag = "OpenAI",
    responses((status = 200, description = "The models", body = ModelList)),
)]
pub(super) async fn list(State(app): State<Arc<App>>) -> Json<ModelList> {
    Json(ModelList { object: "list", data: models(&app).collect() })
}

/// Returns one model by its name.
#[utoipa::path(
    get, path = "/v1/models/{model}", tag = "OpenAI",
    params(("model" = String, Path, description = "A name from the list")),
    responses((status = 200, description = "The model", body = Model), (status = 404, description = "No such model")),
)]
pub(super) async fn retrieve(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Model>, ApiError> {
    let found = models(&app).find(|model| model.id == id);
    found.map(Json).ok_or_else(|| {
        let message = format!("the model {id:?} does not exist; GET /v1/models lists those that do");
        ApiError::new(StatusCode::NOT_FOUND, message).param("model").code("model_not_found")
    })
}

fn models(app: &App) -> impl Iterator<Item = Model> {
    let engines = &app.desk.engines;
    let ids =
        [engines.llm.card().model, engines.embed.card().model, engines.stt.name(), engines.tts.card().name];
    let created = app.started;
    let aliases = app.http.model_aliases.keys().map(String::as_str);
    ids.into_iter().chain(aliases).map(str::to_owned).map(move |id| Model {
        id,
        object: "model",
        created,
        owned_by: "antiphon",
    })
}
