//! `/api/cache`: the state of the caches, and what can be done with them.

use std::sync::Arc;
use std::time::Duration;

use antiphon_agent::warm_up::{warm_up_reply, warm_up_speech};
use antiphon_cache::{Cache, Caches, Entry, Kind, Selection, SemanticStatistics};
use antiphon_desk::Access;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::body::Body;
use super::error::{ApiError, Problem};
use super::performance::within;
use super::routes::Routes;
use crate::app::App;
use crate::jobs::caching::own_identity;

/// Most entries that are searched for one page.
const MAX_LISTED: usize = 100_000;
const MAX_PAGE: usize = 1_000;
/// Longest time for preparing a reply. One that takes longer is not worth it, since nobody waits for it.
const PREPARED_WITHIN: Duration = Duration::from_mins(2);
/// Longest question or phrase in bytes.
const MAX_TEXT: usize = 2_000;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .described(Access::Key, routes!(stats, clear))
        .described(Access::Key, routes!(list))
        .described(Access::Key, routes!(switch))
        .described(Access::Key, routes!(warm))
}

/// The contents and the statistics of one cache since the server started.
#[derive(Serialize)]
struct CacheView {
    cache: &'static str,
    on: bool,
    hits: u64,
    misses: u64,
    /// Share of the requests that the cache answered, 0 to 1; null before the first request.
    hit_rate: Option<f64>,
    /// Number of hits that were found not in memory but on disk or in Redis.
    hits_below_memory: u64,
    stored: u64,
    evicted: u64,
    expired: u64,
    /// Time that hits have saved for those who waited, in seconds.
    saved_s: f64,
    /// Number of entries made before anybody asked, and number of those that somebody has asked for.
    made_ahead: u64,
    used_ahead: u64,
    ttl_s: u64,
    /// The layers in which entries are stored: memory, disk, Redis.
    layers: Vec<LayerView>,
}

#[derive(Serialize)]
struct LayerView {
    layer: &'static str,
    entries: u64,
    bytes: u64,
    /// Space for entries in bytes; null where the layer does not report it.
    max_bytes: Option<u64>,
}

/// The statistics of the semantic cache of one engine.
#[derive(Serialize)]
struct SemanticView {
    engine: String,
    /// Number of questions whose answers can be found by their meaning.
    entries: usize,
    hits: u64,
    /// Answers that were made although a similar question was known: how many agree with the known answer, and how
    /// many do not, as judged by the model.
    agreed: u64,
    disagreed: u64,
    not_compared: u64,
    /// The share of all questions that may get a wrong answer.
    error_bound: f64,
    /// Number of recent answers that could have been reused but were made anew to measure the error, and number of
    /// those where reuse would have been wrong.
    audited: u32,
    wrong: u32,
    /// Upper bound of the share of wrong answers, with a confidence of 95 %; 1 before anything was measured.
    error_upper_95: f64,
    /// Whether answers are reused: `yes`; `learning` while too little was compared; `halted` after too many errors;
    /// or `unfit` if the model cannot compare answers.
    gives: &'static str,
}

#[derive(Serialize)]
struct Stats {
    data: Vec<CacheView>,
    /// The semantic caches of replies; empty unless `[cache] reply = "semantic"`.
    semantic: Vec<SemanticView>,
}

/// Returns the contents and the statistics of all caches since the server started.
#[utoipa::path(
    get, path = "/api/cache", tag = "Operation",
    responses((status = 200, description = "One object a cache", body = Object)),
)]
async fn stats(State(app): State<Arc<App>>) -> Result<Json<Stats>, Problem> {
    let caches = caches(&app)?;
    let mut data = Vec::new();
    for cache in caches.all() {
        data.push(view(cache, caches).await);
    }
    let semantic = app.caching.iter().flat_map(|caching| &caching.semantic);
    let semantic = semantic.map(|replies| by_meaning(&replies.statistics())).collect();
    Ok(Json(Stats { data, semantic }))
}

fn by_meaning(seen: &SemanticStatistics) -> SemanticView {
    let gives = match seen {
        SemanticStatistics { is_judge_fit: Some(false), .. } => "unfit",
        SemanticStatistics { is_halted: true, .. } => "halted",
        SemanticStatistics { may_serve: false, .. } => "learning",
        _ => "yes",
    };
    SemanticView {
        engine: seen.engine.to_string(),
        entries: seen.entries,
        hits: seen.hits,
        agreed: seen.agreed,
        disagreed: seen.disagreed,
        not_compared: seen.not_compared,
        error_bound: seen.error_bound,
        audited: seen.error.audited,
        wrong: seen.error.wrong,
        error_upper_95: seen.error.upper_95,
        gives,
    }
}

async fn view(cache: &Cache, caches: &Caches) -> CacheView {
    let (counts, usage) = (cache.counts(), cache.usage());
    let asked = counts.hits + counts.misses;
    let memory = LayerView {
        layer: "memory",
        entries: usage.entries,
        bytes: usage.bytes,
        max_bytes: Some(cache.max_bytes() as u64),
    };
    let below = caches.below(cache.kind()).await.into_iter().map(|(name, usage)| LayerView {
        layer: name.strip_prefix("cache ").unwrap_or(name),
        entries: usage.entries,
        bytes: usage.bytes,
        max_bytes: None,
    });
    CacheView {
        cache: cache.kind().name(),
        on: cache.is_on(),
        hits: counts.hits,
        misses: counts.misses,
        hit_rate: (asked > 0).then(|| counts.hits as f64 / asked as f64),
        hits_below_memory: counts.below,
        stored: counts.stored,
        evicted: cache.evicted(),
        expired: counts.expired,
        saved_s: counts.saved.as_secs_f64(),
        made_ahead: counts.prefetched,
        used_ahead: counts.prefetched_used,
        ttl_s: cache.ttl().as_secs(),
        layers: std::iter::once(memory).chain(below).collect(),
    }
}

#[derive(Deserialize, IntoParams)]
struct Page {
    /// Only entries of this cache: reply, speech, embedding or result.
    cache: Option<String>,
    /// Most entries in the answer, 1 to 1000; 100 when missing.
    limit: Option<usize>,
    /// Only entries made before the one with this id.
    after: Option<String>,
}

/// An entry without its value.
#[derive(Serialize)]
struct EntryView {
    id: String,
    cache: &'static str,
    tenant: String,
    /// What the entry is about: the question, or the words that are spoken. Empty if it was made for a person who is known.
    label: String,
    bytes: usize,
    /// When the entry was made, in seconds since 1970.
    made: f64,
    expires: f64,
    /// How long the first request waited for the entry, in seconds.
    cost_s: f64,
    /// Whether the entry was made before anybody asked, and nobody has asked for it yet.
    ahead: bool,
}

#[derive(Serialize)]
struct Entries {
    data: Vec<EntryView>,
    /// Whether there are more entries. To get them, pass the id of the last one as `after`.
    has_more: bool,
}

/// Lists the entries, the latest first.
#[utoipa::path(
    get, path = "/api/cache/entries", tag = "Operation", params(Page),
    responses((status = 200, description = "One object an entry", body = Object)),
)]
async fn list(State(app): State<Arc<App>>, Query(page): Query<Page>) -> Result<Json<Entries>, Problem> {
    let most = within("limit", page.limit.unwrap_or(100), MAX_PAGE)?;
    let selection = Selection { kind: kind(page.cache.as_deref())?, ..Selection::default() };
    // Without a cursor it is enough to read as many entries as are shown, and one more to see whether there are more.
    let through = if page.after.is_some() { MAX_LISTED } else { most + 1 };
    let entries = caches(&app)?.list(&selection, through).await;
    let after = page.after.and_then(|after| entries.iter().position(|entry| id(entry) == after));
    let mut data: Vec<_> =
        entries.iter().skip(after.map_or(0, |at| at + 1)).take(most + 1).map(|entry| shown(entry)).collect();
    let has_more = data.len() > most;
    data.truncate(most);
    Ok(Json(Entries { data, has_more }))
}

fn id(entry: &Entry) -> String {
    format!("{}-{:?}", entry.kind.name(), entry.key)
}

fn shown(entry: &Entry) -> EntryView {
    EntryView {
        id: id(entry),
        cache: entry.kind.name(),
        tenant: entry.tenant.to_string(),
        label: entry.label.to_string(),
        bytes: entry.value.len(),
        made: entry.made_ms as f64 / 1e3,
        expires: entry.expires_ms as f64 / 1e3,
        cost_s: entry.cost.as_secs_f64(),
        ahead: entry.prefetched,
    }
}

#[derive(Deserialize, IntoParams)]
struct Which {
    /// Only entries of this cache: reply, speech, embedding or result.
    cache: Option<String>,
    /// Only entries that have expired.
    #[serde(default)]
    expired: bool,
}

#[derive(Serialize)]
struct Cleared {
    /// How many entries were deleted.
    cleared: u64,
    /// The layers in which deleting failed. Entries there disappear when they expire.
    failed: Vec<&'static str>,
}

/// Deletes entries in memory, on disk and in Redis.
#[utoipa::path(
    delete, path = "/api/cache", tag = "Operation", params(Which),
    responses((status = 200, description = "How many entries were forgotten", body = Object)),
)]
async fn clear(State(app): State<Arc<App>>, Query(which): Query<Which>) -> Result<Json<Cleared>, Problem> {
    let kind = kind(which.cache.as_deref())?;
    let expired_ms = which.expired.then(|| antiphon_telemetry::unix_time().as_millis() as u64);
    let selection = Selection { kind, expired_ms, ..Selection::default() };
    let (cleared, failed) = caches(&app)?.clear(&selection).await;
    tracing::info!(cleared, cache = which.cache.as_deref().unwrap_or("all"), "cache cleared");
    Ok(Json(Cleared { cleared, failed }))
}

#[derive(Deserialize, ToSchema)]
struct Switch {
    /// Whether the cache is used from now on.
    on: bool,
}

/// Enables or disables a cache until the server stops. It keeps its entries.
#[utoipa::path(
    patch, path = "/api/cache/{cache}", tag = "Operation", request_body = Switch,
    params(("cache" = String, Path, description = "reply, speech, embedding or result")),
    responses((status = 200, description = "The cache", body = Object)),
)]
async fn switch(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Body(Switch { on }): Body<Switch>,
) -> Result<Json<CacheView>, Problem> {
    let caches = caches(&app)?;
    let cache = kind(Some(&name))?.and_then(|kind| caches.of(kind));
    let Some(cache) = cache else {
        let message = format!("the {name} cache is off in the configuration: [cache] {name}");
        return Err(Problem(ApiError::new(StatusCode::CONFLICT, message)));
    };
    cache.set_on(on);
    tracing::info!(cache = name, on, "cache switched");
    Ok(Json(view(cache, caches).await))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WarmBody {
    /// A question, which is answered as if it were the first thing said in a call.
    question: Option<String>,
    /// A phrase, which is spoken unchanged.
    phrase: Option<String>,
}

#[derive(Serialize)]
struct Warmed {
    /// The text of the answer, or the phrase that was spoken.
    text: String,
    /// Length of the audio in seconds.
    audio_s: f64,
}

/// Makes a reply or speaks a phrase before anybody asks, with the lowest priority.
#[utoipa::path(
    post, path = "/api/cache/warm", tag = "Operation", request_body = WarmBody,
    responses((status = 200, description = "What was prepared", body = Object)),
)]
async fn warm(State(app): State<Arc<App>>, Body(body): Body<WarmBody>) -> Result<Json<Warmed>, Problem> {
    caches(&app)?;
    let identity = own_identity();
    if let Some((name, _)) = [("question", &body.question), ("phrase", &body.phrase)]
        .into_iter()
        .find(|(_, text)| text.as_ref().is_some_and(|text| text.trim().is_empty() || text.len() > MAX_TEXT))
    {
        let message = format!("{name} is empty or longer than {MAX_TEXT} bytes");
        return Err(Problem(ApiError::invalid_param(name, message)));
    }
    match (body.question, body.phrase) {
        (Some(question), None) => {
            let made =
                warm_up_reply(&app.desk.engines, &app.agent, &identity, &question, PREPARED_WITHIN).await?;
            Ok(Json(Warmed { text: made.text, audio_s: made.audio.as_secs_f64() }))
        }
        (None, Some(phrase)) => {
            let audio = warm_up_speech(&app.desk.engines, &app.agent, &identity, &phrase).await?;
            Ok(Json(Warmed { text: phrase, audio_s: audio.as_secs_f64() }))
        }
        _ => Err(Problem(ApiError::invalid("give either a question or a phrase"))),
    }
}

fn caches(app: &App) -> Result<&Arc<Caches>, Problem> {
    let message = "nothing is kept: [cache] enabled is false";
    app.caching
        .as_ref()
        .map(|caching| &caching.caches)
        .ok_or_else(|| Problem(ApiError::new(StatusCode::NOT_FOUND, message).code("cache_off")))
}

fn kind(name: Option<&str>) -> Result<Option<Kind>, Problem> {
    let Some(name) = name else { return Ok(None) };
    let names = Kind::ALL.map(Kind::name).join(", ");
    let message = || format!("there is no cache '{name}'; there are {names}");
    match Kind::from_name(name) {
        Some(kind) => Ok(Some(kind)),
        None => Err(Problem(ApiError::new(StatusCode::NOT_FOUND, message()).param("cache"))),
    }
}
