//! The paths that Azure gives OpenAI's resources: the same handlers once more. The name of the deployment decides nothing, because
//! each kind of engine is there once; requests name their model as elsewhere.

use std::sync::Arc;

use antiphon_desk::Access;
use axum::http::Method;
use axum::routing::{MethodRouter, get, post};

use super::super::routes::Routes;
use super::{chat, embeddings, models, responses, speech, transcriptions};
use crate::app::App;

/// A resource under one of Azure's paths.
pub(super) struct AzureRoute {
    path: &'static str,
    method: Method,
    handler: MethodRouter<Arc<App>>,
}

impl AzureRoute {
    fn post(path: &'static str, handler: MethodRouter<Arc<App>>) -> Self {
        Self { path, method: Method::POST, handler }
    }

    fn get(path: &'static str, handler: MethodRouter<Arc<App>>) -> Self {
        Self { path, method: Method::GET, handler }
    }

    /// Adds it behind these layers.
    pub(super) fn add(
        self,
        routes: Routes,
        layers: impl FnOnce(MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>>,
    ) -> Routes {
        routes.plain(Access::Key, &[self.method], self.path, layers(self.handler))
    }
}

/// The resources that are limited as requests: by deployment as the dated versions of Azure's API have them, and as its
/// version `v1` has them.
pub(super) fn resources() -> [AzureRoute; 10] {
    [
        AzureRoute::post("/openai/deployments/{deployment}/chat/completions", post(chat::create)),
        AzureRoute::post("/openai/deployments/{deployment}/embeddings", post(embeddings::create)),
        AzureRoute::post("/openai/deployments/{deployment}/audio/speech", post(speech::create)),
        AzureRoute::post("/openai/responses", post(responses::create)),
        AzureRoute::get("/openai/models", get(models::list)),
        AzureRoute::post("/openai/v1/chat/completions", post(chat::create)),
        AzureRoute::post("/openai/v1/responses", post(responses::create)),
        AzureRoute::post("/openai/v1/embeddings", post(embeddings::create)),
        AzureRoute::post("/openai/v1/audio/speech", post(speech::create)),
        AzureRoute::get("/openai/v1/models", get(models::list)),
    ]
}

/// The resources that take files.
pub(super) fn uploads() -> [AzureRoute; 2] {
    [
        AzureRoute::post(
            "/openai/deployments/{deployment}/audio/transcriptions",
            post(transcriptions::create),
        ),
        AzureRoute::post("/openai/v1/audio/transcriptions", post(transcriptions::create)),
    ]
}
