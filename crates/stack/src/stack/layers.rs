//! The decorators between a call and the engines of a stage. Each engine has a guard (breaker, concurrency limit,
//! priority queue) and a cache; then come hedging, and fallback from one engine to the next.

use std::sync::Arc;
use std::time::Duration;

use antiphon_cache::{
    CachedEmbed, CachedLlm, CachedTts, Caches, Key, KeyBuilder, Kind, ReplyRules, SemanticReplies,
};
use antiphon_core::measure::Component;
use antiphon_core::{Embed, Llm, Observer, RateLimits, Stt, Tts};
use antiphon_flow::{
    AnswerBounds, BatchLimits, Batched, CpuPool, Fallback, FallbackStage, Guarded, Hedge, LateObserver,
    LimitBounds, Meters, Observed, Shared, Target, Targets, WithoutThoughts,
};
use anyhow::Result;

use super::codec::Clips;
use super::layered::Layered;
use crate::config::{self, AdvancedCache, Cache, Config, ReplyCache};

/// How long the last engine of a stage may take. A call gives up after the same time.
const LAST: AnswerBounds = AnswerBounds { first: Duration::from_secs(20), stall: Duration::from_secs(10) };
/// A guard gives up this much before the fallback does, so that its breaker learns of the failure.
const EARLIER: Duration = Duration::from_millis(50);
/// How many embeddings of this process may run at once: practically all of them, and identical ones are
/// computed once.
const AT_ONCE: usize = 1_024;

/// An engine that is about to become part of a stack.
pub(super) struct Engine<E: ?Sized> {
    pub(super) inner: Arc<E>,
    /// Its name in the configuration.
    pub(super) name: String,
    /// All of its settings. They are part of the cache key, so that another engine's results are never used in
    /// its place.
    pub(super) settings: String,
    /// The rate limits that its server reports.
    pub(super) limits: Arc<RateLimits>,
    /// How many requests the engine is given at a time.
    pub(super) limit: LimitBounds,
    /// The price of what it is sent, in the unit of its section. Only engines of speech have one.
    pub(super) price: Option<f64>,
}

/// The embedding engine with all of its decorators, and its cache, if it has one.
pub(super) type EmbedLayers = (Layered<dyn Embed>, Option<Arc<CachedEmbed>>);

/// Puts guards, caches and fallback in front of engines, and collects what they measure.
pub(super) struct Layers<'a> {
    config: &'a config::Fallback,
    caches: Option<&'a Caches>,
    cpu_pool: Arc<CpuPool>,
    rules: ReplyRules,
    /// The share of questions that may get a wrong reply, where the semantic cache is on.
    error_bound: Option<f64>,
    /// The semantic caches of replies, each with a key that stands for its engine and embedder.
    pub(super) semantic: Vec<(Key, Arc<SemanticReplies>)>,
    targets: Arc<Targets>,
    /// Meters of what engines of speech are sent.
    meters: Arc<Meters>,
    /// Is told how each request ends.
    pub(super) observer: Arc<LateObserver>,
    components: Vec<Arc<dyn Component>>,
}

impl<'a> Layers<'a> {
    pub(super) fn new(config: &'a Config, caches: Option<&'a Caches>, cpu_pool: &Arc<CpuPool>) -> Self {
        let Cache { reply, reply_error_bound, .. } = config.cache;
        let AdvancedCache { reply_standalone, reply_time_dependent, .. } = config.advanced.cache;
        Self {
            config: &config.advanced.fallback,
            caches,
            cpu_pool: cpu_pool.clone(),
            rules: ReplyRules { standalone: reply_standalone, time_dependent: reply_time_dependent },
            error_bound: (reply == ReplyCache::Semantic).then_some(reply_error_bound),
            semantic: Vec::new(),
            targets: Arc::default(),
            meters: Arc::default(),
            observer: Arc::default(),
            components: Vec::new(),
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
    ) -> Result<Layered<dyn Llm>> {
        let bounds = bounds(self.config.llm_first_ms, self.config.llm_stall_ms);
        let (replies, rules) = (self.cache(Kind::Reply), self.rules);
        let mut semantic = Vec::new();
        let mut guarded = self.guard("llm", engines, bounds, |engine, observer, target| {
            let name = target.name().to_owned();
            // Innermost, so that no cache keeps a thought and no thought counts as an answer.
            let speaking: Arc<dyn Llm> = Arc::new(WithoutThoughts::new(engine.inner));
            let observed: Arc<dyn Llm> = Arc::new(Observed::new(speaking, observer));
            let guarded = Layered::new(engine.name, observed)
                .with("guarded", |inner| Arc::new(Guarded::new(inner, target)));
            // Each engine has its own entries, because a fallback's answer is not an answer of the engine
            // that failed.
            let Some(cache) = replies else { return Ok(guarded) };
            let by_meaning = self.error_bound.map(|bound| {
                SemanticReplies::new(name, guarded.engine.clone(), embed.clone(), bound).map(Arc::new)
            });
            let by_meaning = by_meaning.transpose()?;
            let id = KeyBuilder::new(Kind::Reply, "").add(&engine.settings).add(embed.card().model).build();
            semantic.extend(by_meaning.iter().map(|replies| (id, replies.clone())));
            Ok(guarded.with("cached", |inner| {
                let cached = CachedLlm::new(inner, engine.settings, cache.clone(), rules);
                Arc::new(cached.with_semantic(by_meaning))
            }))
        })?;
        self.components.extend(semantic.iter().map(|(_, replies)| replies.clone() as Arc<dyn Component>));
        self.semantic = semantic;
        self.hedge(&mut guarded, |first, second, share| {
            let hedge = Arc::new(Hedge::new(first, second, share));
            (hedge.clone(), hedge)
        });
        let engine = self.fall_back(guarded, bounds, |fallback| fallback as Arc<dyn Llm>)?;
        Ok(engine.with("shared", |inner| {
            let shared = Arc::new(Shared::new(inner));
            self.components.push(shared.clone());
            shared
        }))
    }

    pub(super) fn tts(&mut self, engines: Vec<Engine<dyn Tts>>) -> Result<Layered<dyn Tts>> {
        let bounds = bounds(self.config.tts_first_ms, self.config.tts_stall_ms);
        let (clauses, cpu_pool, meters) =
            (self.cache(Kind::Speech), self.cpu_pool.clone(), self.meters.clone());
        let mut components = Vec::new();
        let mut guarded = self.guard("tts", engines, bounds, |engine, observer, target| {
            let observed = Observed::<dyn Tts>::new(engine.inner, observer);
            let observed: Arc<dyn Tts> = Arc::new(observed.metered(&meters, target.name(), engine.price));
            let guarded = Layered::new(engine.name, observed)
                .with("guarded", |inner| Arc::new(Guarded::<dyn Tts>::new(inner, target)));
            let Some(cache) = clauses else { return Ok(guarded) };
            let (cache, codec, cpu_pool) = (cache.clone(), Arc::new(Clips), cpu_pool.clone());
            Ok(guarded.with("cached", |inner| {
                let cached = Arc::new(CachedTts::new(inner, engine.settings, cache, codec, cpu_pool));
                components.push(cached.clone() as Arc<dyn Component>);
                cached
            }))
        })?;
        self.components.extend(components);
        self.hedge(&mut guarded, |first, second, share| {
            let hedge = Arc::new(Hedge::new(first, second, share));
            (hedge.clone(), hedge)
        });
        self.fall_back(guarded, bounds, |fallback| fallback as Arc<dyn Tts>)
    }

    pub(super) fn stt(&mut self, engines: Vec<Engine<dyn Stt>>) -> Result<Layered<dyn Stt>> {
        let bounds = bounds(self.config.stt_first_ms, self.config.stt_first_ms);
        let guarded = self.guard("stt", engines, bounds, |engine, observer, target| {
            let observed = Observed::<dyn Stt>::new(engine.inner, observer);
            let observed: Arc<dyn Stt> =
                Arc::new(observed.metered(&self.meters, target.name(), engine.price));
            Ok(Layered::new(engine.name, observed)
                .with("guarded", |inner| Arc::new(Guarded::<dyn Stt>::new(inner, target))))
        })?;
        self.fall_back(guarded, bounds, |fallback| fallback as Arc<dyn Stt>)
    }

    /// The embedding engine. If it is cached, the cache is returned as well, for those who look for similar texts
    /// in it.
    pub(super) fn embed(&mut self, engines: Vec<Engine<dyn Embed>>, max_batch: usize) -> Result<EmbedLayers> {
        let remote = engines.iter().any(|engine| engine.limit != LimitBounds::UNLIMITED);
        let guarded = self.guard("embed", engines, AnswerBounds::EMBED, |engine, observer, target| {
            let observed: Arc<dyn Embed> = Arc::new(Observed::new(engine.inner, observer));
            Ok(Layered::new(engine.name, observed)
                .with("guarded", |inner| Arc::new(Guarded::new(inner, target))))
        })?;
        let engine = self.fall_back(guarded, AnswerBounds::EMBED, |fallback| fallback as Arc<dyn Embed>)?;
        let defaults = BatchLimits::default();
        let max_runs = if remote { defaults.max_runs } else { AT_ONCE };
        let batched = engine.with("batched", |inner| {
            let batched = Batched::new(inner, BatchLimits { max_batch, max_runs, ..defaults });
            self.components.push(batched.statistics());
            Arc::new(batched)
        });
        // The cache is outermost, because the engines of a fallback for embeddings all run the same model.
        let Some(cache) = self.cache(Kind::Embedding) else { return Ok((batched, None)) };
        let cached = Arc::new(CachedEmbed::new(batched.engine.clone(), cache.clone()));
        Ok((batched.with("cached", |_| cached.clone()), Some(cached)))
    }

    fn cache(&self, kind: Kind) -> Option<&'a Arc<antiphon_cache::Cache>> {
        self.caches.and_then(|caches| caches.of(kind))
    }

    /// Puts a guard in front of each engine. All engines but the last must answer within `bounds`.
    fn guard<E: ?Sized>(
        &self,
        stage: &str,
        engines: Vec<Engine<E>>,
        bounds: AnswerBounds,
        mut guard: impl FnMut(Engine<E>, Arc<dyn Observer>, Arc<Target>) -> Result<Layered<E>>,
    ) -> Result<Vec<Layered<E>>> {
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
            let name = format!("{stage} {}{number}", engine.name);
            let bounds = if at == last { LAST } else { within };
            let target = self.targets.add(name, bounds, engine.limit, &engine.limits);
            guard(engine, self.observer.clone(), target)
        });
        guarded.collect()
    }

    /// Sends a slow request of the first engine to the second as well, or once more to the first if there is
    /// no other.
    fn hedge<E: ?Sized>(
        &mut self,
        engines: &mut Vec<Layered<E>>,
        hedge: impl FnOnce(Arc<E>, Arc<E>, f64) -> (Arc<E>, Arc<dyn Component>),
    ) {
        if !self.config.hedge || engines.is_empty() {
            return;
        }
        let second = engines[1 % engines.len()].engine.clone();
        let first = engines.remove(0).with("hedged", |first| {
            let (engine, component) = hedge(first, second, self.config.hedge_share);
            self.components.push(component);
            engine
        });
        engines.insert(0, first);
    }

    /// Puts several engines behind a fallback, which tries them one after the other. A single engine stays as it is.
    fn fall_back<E: FallbackStage + ?Sized>(
        &mut self,
        mut engines: Vec<Layered<E>>,
        bounds: AnswerBounds,
        stage: impl Fn(Arc<Fallback<E>>) -> Arc<E>,
    ) -> Result<Layered<E>> {
        if engines.len() == 1 {
            return Ok(engines.remove(0));
        }
        Layered::join(engines, |engines| {
            let fallback = Arc::new(Fallback::new(engines, bounds)?);
            self.components.push(fallback.clone());
            Ok(stage(fallback))
        })
    }
}

fn bounds(first_ms: u64, stall_ms: u64) -> AnswerBounds {
    AnswerBounds { first: Duration::from_millis(first_ms), stall: Duration::from_millis(stall_ms) }
}
