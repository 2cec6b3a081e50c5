//! What is done for the caches beside calls: filled when the server starts, warmed while few call, cleaned all the time.

use std::sync::Arc;
use std::time::Duration;

use antiphon_agent::rehearsal::{fixed_texts, say_ahead};
use antiphon_flow::cache::Caches;

use crate::app::App;

/// How often it is seen to that what the agent says by itself is there; it is made anew in the last quarter of its life.
const WARMED_EVERY: Duration = Duration::from_mins(5);

/// The caches of a server, and how they are kept.
#[derive(Clone)]
pub struct Caching {
    /// They.
    pub caches: Arc<Caches>,
    /// Whether what the agent says by itself is spoken ahead.
    pub warm: bool,
}

/// Looks after the caches, for ever.
pub(crate) async fn run(app: Arc<App>) {
    let Some(Caching { caches, warm }) = app.caching.clone() else { return std::future::pending().await };
    let warming = async {
        caches.fill().await;
        if warm {
            loop {
                say_fixed_texts(&app).await;
                tokio::time::sleep(WARMED_EVERY).await;
            }
        }
    };
    tokio::join!(warming, caches.keep_clean());
}

/// Writes what is to be written, when the server stops.
pub(crate) async fn finish(app: &App) {
    if let Some(caching) = &app.caching {
        caching.caches.flush().await;
    }
}

async fn say_fixed_texts(app: &App) {
    let session = app.session_config();
    for text in fixed_texts(&session) {
        if !app.calls.are_few() {
            return;
        }
        if let Err(error) = say_ahead(&app.engines, &session, text).await {
            // A call would hear of it soon enough.
            tracing::warn!(%error, "the agent's own words are not spoken ahead");
            return;
        }
    }
}
