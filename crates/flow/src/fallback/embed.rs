//! Embeddings with fallback. Only engines of the same model stand in for each other,
//! because the vectors of two models cannot be compared.

use std::sync::Arc;

use antiphon_core::{BoxFuture, Embed, EmbedCard, Error, Priority, Result};
use tokio::time::timeout;

use super::route::Failure;
use super::{Fallback, FallbackStage};

impl FallbackStage for dyn Embed {
    const STAGE: &'static str = "embed";
    const COMPONENT: &'static str = "fallback embed";

    fn engine_name(&self) -> &'static str {
        self.card().name
    }

    fn probe(&self) -> BoxFuture<'static, Result<()>> {
        let vectors = self.embed(vec!["yes".to_owned()], Priority::Batch);
        Box::pin(async { vectors.await.map(drop) })
    }

    fn check(engines: &[Arc<Self>]) -> Result<()> {
        let space = |engine: &Arc<Self>| {
            let EmbedCard { model, dimensions, .. } = engine.card();
            format!("'{model}' ({dimensions})")
        };
        let spaces: Vec<_> = engines.iter().map(space).collect();
        match spaces.iter().find(|other| **other != spaces[0]) {
            None => Ok(()),
            Some(other) => Err(Error::invalid(format!(
                "embed: engines can stand in for each other only with the same model and dimensions, not {} and \
                 {other}: configure one model",
                spaces[0]
            ))),
        }
    }
}

impl Embed for Fallback<dyn Embed> {
    fn card(&self) -> EmbedCard<'_> {
        self.first().card()
    }

    fn tokens(&self, text: &str) -> u64 {
        self.first().tokens(text)
    }

    fn embed(&self, texts: Vec<String>, priority: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let mut route = self.route(priority);
        Box::pin(async move {
            while let Some(leg) = route.next() {
                let bound = leg.bounds.first;
                let failure = match timeout(bound, leg.engine.embed(texts.clone(), priority)).await {
                    Ok(Ok(vectors)) => {
                        route.succeeded();
                        return Ok(vectors);
                    }
                    Ok(Err(error)) => Failure::new(error, false),
                    Err(_) => Failure::silent(leg.engine.card().name, bound, false),
                };
                route.failed(failure);
            }
            Err(route.error())
        })
    }
}
