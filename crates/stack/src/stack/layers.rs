//! What stands between a call and the engines of a stage: round each engine a guard (breaker, concurrency limit, queue by
//! priority) and a cache, then hedging, then fallback from one engine to the next.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::measure::Component;
use antiphon_core::{Embed, Llm, Observer, RateLimits, Stt, Tts};
use antiphon_flow::cache::{
    CachedEmbed, CachedLlm, CachedTts, Caches, Key, KeyBuilder, Kind, ReplyRules, SemanticReplies,
};
use antiphon_flow::{
    AnswerBounds, BatchLimits, Batched, Fallback, FallbackStage, Guarded, Hedge, LateObserver, LimitBounds,
    Meters, Observed, Placement, Shared, Target, Targets,
};
use anyhow::Result;

use super::codec::Clips;
use crate::config::{self, Cache, Config, ReplyCache};

/// How long an engine may take after which nobody comes: a call gives up at the same time.
const LAST: AnswerBounds = AnswerBounds { first: Duration::from_secs(20), stall: Duration::from_secs(10) };
/// A guard gives up a little before the fallback does, so that its breaker hears of it.
const EARLIER: Duration = Duration::from_millis(50);
/// Embeddings of this process start at once, however many there are; identical ones are made once.
const AT_ONCE: usize = 1_024;
/// Requests that go to a remote engine at a time, if nothing else is said: what vendors allow, or more.
const REMOTE: usize = 256;

/// An engine on its way into a stack.
pub(super) struct Engine<E: ?Sized> {
    pub(super) inner: Arc<E>,
    /// As the configuration calls it.
    pub(super) name: String,
    /// All that is configured of it: what another one makes is not used in its place.
    pub(super) settings: String,
    /// Told what its server says.
    pub(super) limits: Arc<RateLimits>,
    /// The most requests at a time, for those elsewhere.
    pub(super) max_concurrent: Option<usize>,
    /// What it is sent costs, as its section sells it; of speech alone.
    pub(super) price: Option<f64>,
}

/// The embedder, and itself again if it is cached: those who look for closeness in the cache want that.
pub(super) type Embedder = (Arc<dyn Embed>, Option<Arc<CachedEmbed>>);

/// Puts the layers on, and keeps what of them is measured.
pub(super) struct Layers<'a> {
    config: &'a config::Fallback,
    caches: Option<&'a Caches>,
    placement: Arc<Placement>,
    rules: ReplyRules,
    /// The share of questions that may get a wrong reply, where replies answer other words.
    error_bound: Option<f64>,
    /// What is known of replies by their meaning, and of which engine and embedder.
    pub(super) semantic: Vec<(Key, Arc<SemanticReplies>)>,
    targets: Arc<Targets>,
    /// Of what engines of speech are sent.
    meters: Arc<Meters>,
    /// Told how each request ends.
    pub(super) observer: Arc<LateObserver>,
    components: Vec<Arc<dyn Component>>,
    pub(super) description: Vec<String>,
}

impl<'a> Layers<'a> {
    pub(super) fn new(config: &'a Config, caches: Option<&'a Caches>, placement: &Arc<Placement>) -> Self {
        let Cache { reply, reply_error_bound, reply_standalone, reply_time_dependent, .. } = config.cache;
        Self {
            config: &config.fallback,
            caches,
            placement: placement.clone(),
            rules: ReplyRules { standalone: reply_standalone, time_dependent: reply_time_dependent },
            error_bound: (reply == ReplyCache::Semantic).then_some(reply_error_bound),
            semantic: Vec::new(),
            targets: Arc::default(),
            meters: Arc::default(),
            observer: Arc::default(),
            components: Vec::new(),
            description: Vec::new(),
        }
    }

    pub(super) fn components(self) -> Vec<Arc<dyn Component>> {
        let Self { targets, meters, mut components, .. } = self;
        components.extend(targets.components());
        components.push(meters);
        components
    }

    pub(super) fn llm(
        &mut self,
        engines: Vec<Engine<dyn Llm>>,
        embed: &Arc<dyn Embed>,
    ) -> Result<Arc<dyn Llm>> {
        let bounds = bounds(self.config.llm_first_ms, self.config.llm_stall_ms);
        let (replies, rules) = (self.cache(Kind::Reply), self.rules);
        let mut semantic = Vec::new();
        self.describe("llm", &engines, "shared");
        let mut guarded: Vec<Arc<dyn Llm>> =
            self.guard("llm", engines, bounds, |engine, observer, target| {
                let observed: Arc<dyn Llm> = Arc::new(Observed::new(engine.inner, observer));
                let name = target.name().to_owned();
                let guarded: Arc<dyn Llm> = Arc::new(Guarded::new(observed, target));
                // Each engine's own answers: what another said in its place is not its.
                let Some(cache) = replies else { return Ok(guarded) };
                let by_meaning = self.error_bound.map(|bound| {
                    SemanticReplies::new(name, guarded.clone(), embed.clone(), bound).map(Arc::new)
                });
                let by_meaning = by_meaning.transpose()?;
                let id = KeyBuilder::new(Kind::Reply, "").add(&engine.settings).add(embed.model()).build();
                semantic.extend(by_meaning.iter().map(|replies| (id, replies.clone())));
                let cached = CachedLlm::new(guarded, engine.settings, cache.clone(), rules);
                Ok(Arc::new(cached.with_semantic(by_meaning)))
            })?;
        self.components.extend(semantic.iter().map(|(_, replies)| replies.clone() as Arc<dyn Component>));
        self.semantic = semantic;
        if self.config.hedge {
            let second = guarded[1 % guarded.len()].clone();
            let hedge = Arc::new(Hedge::new(guarded[0].clone(), second, self.config.hedge_share));
            self.components.push(hedge.clone());
            guarded[0] = hedge;
        }
        let engine = self.fall_back(guarded, bounds, |fallback| fallback as Arc<dyn Llm>)?;
        let shared = Arc::new(Shared::new(engine));
        self.components.push(shared.clone());
        Ok(shared)
    }

    pub(super) fn tts(&mut self, engines: Vec<Engine<dyn Tts>>) -> Result<Arc<dyn Tts>> {
        let bounds = bounds(self.config.tts_first_ms, self.config.tts_stall_ms);
        let (clauses, placement, meters) =
            (self.cache(Kind::Speech), self.placement.clone(), self.meters.clone());
        let mut components = Vec::new();
        self.describe("tts", &engines, "");
        let mut guarded: Vec<Arc<dyn Tts>> =
            self.guard("tts", engines, bounds, |engine, observer, target| {
                let observed = Observed::<dyn Tts>::new(engine.inner, observer);
                let observed = observed.metered(&meters, target.name(), engine.price);
                let guarded: Arc<dyn Tts> = Arc::new(Guarded::<dyn Tts>::new(Arc::new(observed), target));
                let Some(cache) = clauses else { return Ok(guarded) };
                let (cache, codec, placement) = (cache.clone(), Arc::new(Clips), placement.clone());
                let cached = Arc::new(CachedTts::new(guarded, engine.settings, cache, codec, placement));
                components.push(cached.clone() as Arc<dyn Component>);
                Ok(cached)
            })?;
        self.components.extend(components);
        if self.config.hedge {
            let second = guarded[1 % guarded.len()].clone();
            let hedge = Arc::new(Hedge::new(guarded[0].clone(), second, self.config.hedge_share));
            self.components.push(hedge.clone());
            guarded[0] = hedge;
        }
        self.fall_back(guarded, bounds, |fallback| fallback as Arc<dyn Tts>)
    }

    pub(super) fn stt(&mut self, engines: Vec<Engine<dyn Stt>>) -> Result<Arc<dyn Stt>> {
        let bounds = bounds(self.config.stt_first_ms, self.config.stt_first_ms);
        self.describe("stt", &engines, "");
        let guarded = self.guard("stt", engines, bounds, |engine, observer, target| {
            let observed = Observed::<dyn Stt>::new(engine.inner, observer);
            let observed = observed.metered(&self.meters, target.name(), engine.price);
            Ok(Arc::new(Guarded::<dyn Stt>::new(Arc::new(observed), target)) as Arc<dyn Stt>)
        })?;
        self.fall_back(guarded, bounds, |fallback| fallback as Arc<dyn Stt>)
    }

    pub(super) fn embed(&mut self, engines: Vec<Engine<dyn Embed>>, max_batch: usize) -> Result<Embedder> {
        self.describe("embed", &engines, "batched");
        let remote = engines.iter().any(|engine| engine.max_concurrent.is_some());
        let guarded = self.guard("embed", engines, AnswerBounds::EMBED, |engine, observer, target| {
            let observed: Arc<dyn Embed> = Arc::new(Observed::new(engine.inner, observer));
            Ok(Arc::new(Guarded::new(observed, target)) as Arc<dyn Embed>)
        })?;
        let engine = self.fall_back(guarded, AnswerBounds::EMBED, |fallback| fallback as Arc<dyn Embed>)?;
        let defaults = BatchLimits::default();
        let max_runs = if remote { defaults.max_runs } else { AT_ONCE };
        let batched = Batched::new(engine, BatchLimits { max_batch, max_runs, ..defaults });
        self.components.push(batched.statistics());
        let batched: Arc<dyn Embed> = Arc::new(batched);
        // Outermost: engines in each other's place are of the same model.
        let vectors = self.cache(Kind::Embedding);
        let cached = vectors.map(|cache| Arc::new(CachedEmbed::new(batched.clone(), cache.clone())));
        Ok((cached.clone().map_or(batched, |cached| cached as Arc<dyn Embed>), cached))
    }

    fn cache(&self, kind: Kind) -> Option<&'a Arc<antiphon_flow::cache::Cache>> {
        self.caches.and_then(|caches| caches.of(kind))
    }

    /// Guards each engine. All but the last must answer within `bounds`.
    fn guard<E: ?Sized>(
        &self,
        stage: &str,
        engines: Vec<Engine<E>>,
        bounds: AnswerBounds,
        mut guard: impl FnMut(Engine<E>, Arc<dyn Observer>, Arc<Target>) -> Result<Arc<E>>,
    ) -> Result<Vec<Arc<E>>> {
        let last = engines.len() - 1;
        let mut names: Vec<String> = Vec::new();
        let guarded = engines.into_iter().enumerate().map(|(at, engine)| {
            let same = names.iter().filter(|name| **name == engine.name).count();
            names.push(engine.name.clone());
            let number = if same == 0 { String::new() } else { format!(" {}", same + 1) };
            let within = AnswerBounds {
                first: bounds.first.saturating_sub(EARLIER),
                stall: bounds.stall.saturating_sub(EARLIER),
            };
            let limit = match engine.max_concurrent {
                Some(max) => LimitBounds { min: LimitBounds::default().min.min(max), max },
                // Engines of this process queue in threads of their own, by priority: nothing more need limit them.
                None => LimitBounds::UNLIMITED,
            };
            let name = format!("{stage} {}{number}", engine.name);
            let bounds = if at == last { LAST } else { within };
            let target = self.targets.add(name, bounds, limit, engine.limits.clone());
            guard(engine, self.observer.clone(), target)
        });
        guarded.collect()
    }

    /// One engine stays as it is; several are used one after the other.
    fn fall_back<E: FallbackStage + ?Sized>(
        &mut self,
        mut engines: Vec<Arc<E>>,
        bounds: AnswerBounds,
        stage: impl Fn(Arc<Fallback<E>>) -> Arc<E>,
    ) -> Result<Arc<E>> {
        if engines.len() == 1 {
            return Ok(engines.remove(0));
        }
        let fallback = Arc::new(Fallback::new(engines, bounds)?);
        self.components.push(fallback.clone());
        Ok(stage(fallback))
    }

    fn describe<E: ?Sized>(&mut self, stage: &str, engines: &[Engine<E>], outermost: &str) {
        let names: Vec<_> = engines.iter().map(|engine| engine.name.as_str()).collect();
        let names = names.join(", else ");
        let hedged = self.config.hedge && matches!(stage, "llm" | "tts");
        let kind = match stage {
            "llm" => Some(Kind::Reply),
            "tts" => Some(Kind::Speech),
            "embed" => Some(Kind::Embedding),
            _ => None,
        };
        let cached = if kind.is_some_and(|kind| self.cache(kind).is_some()) { "cached" } else { "" };
        let hedged = if hedged { "hedged" } else { "" };
        let layers = match stage {
            "embed" => ["guarded", hedged, outermost, cached],
            _ => ["guarded", cached, hedged, outermost],
        };
        let layers: Vec<_> = layers.into_iter().filter(|layer| !layer.is_empty()).collect();
        self.description.push(format!("{stage:6} {names}  ({})", layers.join(", ")));
    }
}

/// The most requests at a time to an engine that is elsewhere; `None` for those of this process.
pub(super) fn max_concurrent(engine: &str, configured: Option<usize>) -> Option<usize> {
    const HERE: [&str; 7] = ["moonshine", "llama", "piper", "kokoro", "minilm", "sim", "fake"];
    (!HERE.contains(&engine)).then(|| configured.unwrap_or(REMOTE).max(1))
}

fn bounds(first_ms: u64, stall_ms: u64) -> AnswerBounds {
    AnswerBounds { first: Duration::from_millis(first_ms), stall: Duration::from_millis(stall_ms) }
}
