//! Builds every engine with what stands in front of it, and describes the result.

mod builder;
mod caches;
mod check;
mod codec;
mod embed;
mod knowledge;
mod layered;
mod layers;
mod llm;
mod section;
mod session;
mod stt;
mod tools;
mod tts;

use std::sync::Arc;

use antiphon_agent::{Agent, Engines};
use antiphon_cache::{
    CachedEmbed, Caches, Key, Kind, PrefetchBudget, Prefetcher, SearchCache, SemanticReplies,
};
use antiphon_core::measure::Component;
use antiphon_core::{Embed, EmotionClassifier, Prefetch, Tts};
use antiphon_flow::{CpuPool, LateObserver, PoolBounds, SpeechOnly};
use antiphon_memory::InProcessKnowledge;
use antiphon_providers::local::emotion::EmotionModel;
use antiphon_providers::pool::ModelPool;
use anyhow::{Context, Result};

use crate::config::{self, Config, EmbedEngine, EmotionEngine};
use crate::machine;
use crate::tunables::ServerTunables;
use builder::{Builder, Detectors};
pub use caches::caches;
pub use check::check;
pub use knowledge::read_knowledge;
use layered::Layered;
use layers::Layers;
pub use llm::probe as probe_llm;
pub use session::session_config;

/// Everything a call needs, and the threads it runs on.
pub struct Stack {
    /// The engines of all stages, with what stands in front of them.
    pub engines: Engines,
    /// The agent as the configuration describes it.
    pub agent: Agent,
    /// The components that are measured.
    pub components: Vec<Arc<dyn Component>>,
    /// A description of what was built, with one line for each engine.
    pub description: Vec<String>,
    /// Is told how each request to an engine ends, once an observer has been attached.
    pub requests: Arc<LateObserver>,
    /// The semantic caches of replies, each with a key that stands for its engine and embedder.
    pub semantic: Vec<(Key, Arc<SemanticReplies>)>,
    /// Predicts which question follows which; present where replies are prefetched.
    pub prefetcher: Option<Arc<Prefetcher>>,
    /// The agent's knowledge. It can be searched once [`read_knowledge`] has read it.
    pub knowledge: Option<Arc<InProcessKnowledge>>,
    /// The threads for computations beside calls.
    pub cpu_pool: Arc<CpuPool>,
    /// The threads that run the models. They must live as long as the engines.
    pub pool: ModelPool,
}

/// The names of the engines in a configuration. Measurements with these engines say nothing about others.
pub fn engine_names(config: &Config) -> String {
    let all = |names: Vec<String>| names.join(", ");
    let stt = all(listed(&config.stt, &config.stt.engines).map(|stt| stt.engine.name().to_owned()).collect());
    let tts = all(listed(&config.tts, &config.tts.engines).map(|tts| tts.engine.name().to_owned()).collect());
    let llm = listed(&config.llm, &config.llm.engines)
        .map(|llm| format!("{} {}", llm.resolved_engine().name(), llm.model.as_deref().unwrap_or("default")));
    format!("{} + {stt} + {} + {tts}", config.vad.engine.name(), all(llm.collect()))
}

/// The engines of a section: those in its list, or else the section itself.
pub fn listed<'a, S>(section: &'a S, engines: &'a [S]) -> impl Iterator<Item = &'a S> {
    std::iter::once(section).filter(|_| engines.is_empty()).chain(engines)
}

/// Whether the server is idle enough for background work for which nobody waits, such as prefetching replies.
pub type IsIdle = Arc<dyn Fn() -> bool + Send + Sync>;

/// What engines need beside their configuration.
#[derive(Clone, Default)]
pub struct BuildContext {
    /// The caches for the engines' results.
    pub caches: Option<Arc<Caches>>,
    /// Asked before each reply is prefetched. Without it, nothing is prefetched.
    pub is_idle: Option<IsIdle>,
}

/// Builds the engines of a configuration.
pub fn build(config: &Config, context: &BuildContext) -> Result<Stack> {
    let caches = context.caches.as_ref();
    let threads = config.advanced.model_threads.unwrap_or_else(machine::cores);
    let pool = ModelPool::new(threads)?;
    pool.set_max_batch(config.advanced.model_batch);
    // One thread is always kept; computations beside calls may use all cores for a while.
    let cpu_pool = Arc::new(CpuPool::new(PoolBounds { min: 1, max: machine::cores() })?);
    let builder = Builder::new(config, &pool)?;
    let Detectors { calls: vad, files, measured: detector } = builder.vad()?;
    let turn = builder.turn()?;
    let mut layers = Layers::new(config, caches.map(Arc::as_ref), &cpu_pool);
    let stt = layers.stt(builder.stt()?)?;
    let stt = match files {
        Some(vad) => stt.with("speech only", |stt| Arc::new(SpeechOnly::new(stt, vad))),
        None => stt,
    };
    let (embed, cached_embed) = layers.embed(builder.embed()?, config.embed.advanced.max_batch)?;
    let (llms, models) = builder.llm()?;
    let llm = layers.llm(llms, &embed.engine)?;
    let tts = layers.tts(builder.tts()?)?;
    let turn_line = turn.as_ref().map_or("silence", |turn| turn.name());
    let mut description = vec![
        vad.line("vad"),
        format!("turn   {turn_line}"),
        stt.line("stt"),
        embed.line("embed"),
        llm.line("llm"),
        tts.line("tts"),
    ];
    let beside = Beside::new(config, context, &embed, cached_embed)?;
    let engines = Engines {
        emotion: beside.emotion.clone().map(|emotion| Arc::new(emotion) as Arc<dyn EmotionClassifier>),
        vad: vad.engine,
        turn,
        stt: stt.engine,
        llm: llm.engine,
        tts: tts.engine,
        embed: embed.engine,
    };
    let agent = beside.agent(config, &engines)?;
    description.push(format!("plan   {}", plan(&engines, &agent)));
    description.push(format!("pool   {threads} model threads"));
    let requests = layers.observer.clone();
    let semantic = std::mem::take(&mut layers.semantic);
    let server: Arc<dyn Component> = Arc::new(ServerTunables::new(&config.advanced));
    let components = [server].into_iter().chain(detector).chain(models).chain(beside.components());
    let components = components.chain(pool.components()).chain(layers.components());
    let components = components.chain([cpu_pool.component()]).collect();
    Ok(Stack {
        engines,
        agent,
        components,
        description,
        requests,
        semantic,
        prefetcher: beside.prefetcher,
        knowledge: beside.known,
        cpu_pool,
        pool,
    })
}

/// The parts that are not stages of a reply.
struct Beside {
    emotion: Option<EmotionModel>,
    known: Option<Arc<InProcessKnowledge>>,
    results: Option<Arc<SearchCache>>,
    prefetcher: Option<Arc<Prefetcher>>,
}

impl Beside {
    fn new(
        config: &Config,
        context: &BuildContext,
        embed: &Layered<dyn Embed>,
        cached_embed: Option<Arc<CachedEmbed>>,
    ) -> Result<Self> {
        let caches = context.caches.as_ref();
        let results = caches.and_then(|caches| caches.of(Kind::Result)).zip(cached_embed);
        let prefetcher = caches.filter(|_| config.cache.predict).zip(context.is_idle.as_ref());
        Ok(Self {
            emotion: emotion(config, &embed.engine)?,
            known: knowledge::knowledge(config, &embed.engine)?.map(Arc::new),
            results: results.map(|(cache, embed)| Arc::new(SearchCache::new(cache.clone(), embed))),
            prefetcher: prefetcher.and_then(|(caches, is_idle)| prefetch(caches, is_idle)),
        })
    }

    fn components(&self) -> Vec<Arc<dyn Component>> {
        let emotion = self.emotion.clone().map(|emotion| Arc::new(emotion) as Arc<dyn Component>);
        let prefetcher = self.prefetcher.clone().map(|prefetcher| prefetcher as Arc<dyn Component>);
        emotion.into_iter().chain(prefetcher).collect()
    }

    fn agent(&self, config: &Config, engines: &Engines) -> Result<Agent> {
        let (known, results) = (self.known.clone(), self.results.as_ref());
        Ok(Agent {
            session: session_config(config),
            reuse: session::reply_reuse(config),
            memories: config.memory.enabled.then(|| knowledge::memories(&engines.embed, results)),
            knowledge: known.map(|known| knowledge::searched(known, results.map(Arc::as_ref))),
            prefetch: self.prefetcher.clone().map(|prefetcher| prefetcher as Arc<dyn Prefetch>),
            tools: tools::of(config)?,
        })
    }
}

/// Describes the lookups that run while a person speaks.
fn plan(engines: &Engines, agent: &Agent) -> String {
    let steps = [
        ("emotion", engines.emotion.is_some()),
        ("memory", agent.memories.is_some()),
        ("profile", agent.memories.is_some()),
        ("knowledge", agent.knowledge.is_some()),
    ];
    let steps: Vec<_> = steps.into_iter().filter(|(_, there)| *there).map(|(step, _)| step).collect();
    if steps.is_empty() { "nothing".to_owned() } else { steps.join(" | ") }
}

/// The default voice and its threads, whatever voice is configured. For callers that need real speech rather than
/// a simulation.
pub fn default_voice(config: &Config) -> Result<(Arc<dyn Tts>, ModelPool)> {
    let pool = ModelPool::new(1)?;
    let voice = Builder::new(config, &pool)?.one_tts(&config::Tts::default(), &Arc::default())?;
    Ok((voice, pool))
}

/// Prefetches replies to likely questions, where replies and speech are cached.
fn prefetch(caches: &Arc<Caches>, is_idle: &IsIdle) -> Option<Arc<Prefetcher>> {
    let (replies, speech) = (caches.of(Kind::Reply)?.clone(), caches.of(Kind::Speech)?.clone());
    Some(Arc::new(Prefetcher::new(PrefetchBudget::default(), replies, speech, is_idle.clone())))
}

/// The model that judges a person's feelings from the embedding of their words. It works only with the embedding
/// model on which it was trained.
fn emotion(config: &Config, embed: &Arc<dyn Embed>) -> Result<Option<EmotionModel>> {
    let learned_from = config.embed.engine == EmbedEngine::MiniLm && config.embed.engines.is_empty();
    match config.emotion.engine {
        Some(EmotionEngine::Off) => Ok(None),
        None if !learned_from => Ok(None),
        None | Some(EmotionEngine::MiniLm) => {
            Ok(Some(EmotionModel::new(embed.clone()).context("[emotion] engine = \"minilm\"")?))
        }
    }
}
