//! Builds every engine and what stands before it, in one place, and says what it built.

mod builder;
mod caches;
mod codec;
mod embed;
mod layers;
mod llm;
mod session;
mod stt;
mod tts;

use std::sync::Arc;

use antiphon_agent::Engines;
use antiphon_core::measure::Component;
use antiphon_core::{
    DEFAULT_TENANT, Embed, EmotionClassifier, Foresight, Knowledge, Llm, Memories, RateLimits, Stt, Tts,
};
use antiphon_flow::cache::{
    CachedKnowledge, CachedMemories, Caches, ForesightBudget, Key, Kind, SearchCache, SemanticReplies,
    Transitions,
};
use antiphon_flow::{LateObserver, Placement, PoolBounds};
use antiphon_memory::{InProcessKnowledge, InProcessMemories, passages};
use antiphon_providers::emotion::EmotionModel;
use antiphon_providers::pool::ModelPool;
use anyhow::{Context, Result};

use crate::config::{self, Config, EmotionEngine, VadEngine};
use crate::machine;
use crate::tunables::ServerTunables;
use builder::{Builder, Measured};
pub use caches::caches;
use layers::{Embedder, Engine, Layers, max_concurrent};
pub use llm::probe as probe_llm;
pub use session::session_config;

/// Everything a call needs, and the threads it runs on.
pub struct Stack {
    /// The engines.
    pub engines: Engines,
    /// What of them is measured.
    pub components: Vec<Arc<dyn Component>>,
    /// One line an engine.
    pub description: Vec<String>,
    /// Told how each request to an engine ends, once somebody listens.
    pub requests: Arc<LateObserver>,
    /// What is known of replies by their meaning, and of which engine and embedder.
    pub semantic: Vec<(Key, Arc<SemanticReplies>)>,
    /// What is known of what is asked after what, where that is learned.
    pub foresight: Option<Arc<Transitions>>,
    /// What is known, once it is read.
    pub knowledge: Option<Arc<InProcessKnowledge>>,
    /// The threads for what is computed beside calls.
    pub placement: Arc<Placement>,
    /// Kept alive as long as the engines are.
    pub pool: ModelPool,
}

/// The engines of a configuration by name: what was measured with them says nothing about others.
pub fn engine_names(config: &Config) -> String {
    let all = |names: Vec<String>| names.join(", ");
    let stt = all(listed(&config.stt, &config.stt.engines).map(|stt| stt.engine.clone()).collect());
    let tts = all(listed(&config.tts, &config.tts.engines).map(|tts| tts.engine.clone()).collect());
    let llm = listed(&config.llm, &config.llm.engines);
    let llm =
        all(llm.map(|l| format!("{} {}", llm::engine(l), l.model.as_deref().unwrap_or("default"))).collect());
    let vad = match config.vad.engine {
        VadEngine::Silero => "silero",
        VadEngine::Energy => "energy",
    };
    format!("{vad} + {stt} + {llm} + {tts}")
}

/// The engines of a section: those it lists, else itself.
pub fn listed<'a, S>(section: &'a S, engines: &'a [S]) -> impl Iterator<Item = &'a S> {
    std::iter::once(section).filter(|_| engines.is_empty()).chain(engines)
}

/// Whether there is time for work that nobody waits for, such as replies made ahead.
pub type IsIdle = Arc<dyn Fn() -> bool + Send + Sync>;

/// What engines are given beside their configuration.
#[derive(Clone, Default)]
pub struct BuildContext {
    /// Where results are kept for reuse.
    pub caches: Option<Arc<Caches>>,
    /// Asked before replies are made ahead; without it none are.
    pub is_idle: Option<IsIdle>,
}

/// Builds the engines of a configuration.
pub fn build(config: &Config, context: &BuildContext) -> Result<Stack> {
    let caches = context.caches.as_ref();
    let threads = config.pool.threads.unwrap_or_else(machine::cores);
    let pool = ModelPool::new(threads)?;
    pool.set_max_batch(config.pool.max_batch);
    // One thread is kept for each kind; what is computed beside calls may have all cores for a while.
    let computing = PoolBounds { min: 1, max: machine::cores() };
    let placement = Arc::new(Placement::new(computing, PoolBounds { min: 1, max: 1 })?);
    let builder = Builder::new(config, &pool)?;
    let (vad, detector) = builder.vad()?;
    let turn = builder.turn()?;
    let mut layers = Layers::new(config, caches.map(Arc::as_ref), &placement);
    layers.description.push(match config.vad.engine {
        VadEngine::Silero => "vad    silero behind a level and earshot gate".to_owned(),
        VadEngine::Energy => "vad    energy".to_owned(),
    });
    layers.description.push(format!("turn   {}", turn.as_ref().map_or("silence", |turn| turn.name())));
    let stt = builder.stt(&mut layers)?;
    let (embed, cached_embed) = builder.embed(&mut layers)?;
    let (llm, models) = builder.llm(&mut layers, &embed)?;
    let tts = builder.tts(&mut layers)?;
    let known = knowledge(config, &embed)?.map(Arc::new);
    let results = caches.and_then(|caches| caches.of(Kind::Result)).zip(cached_embed);
    let results = results.map(|(cache, embed)| Arc::new(SearchCache::new(cache.clone(), embed)));
    let foresight = caches.filter(|_| config.cache.predict).zip(context.is_idle.as_ref());
    let foresight = foresight.and_then(|(caches, is_idle)| prefetch(caches, is_idle));
    let memories = config.memory.enabled.then(|| memories(&embed, results.as_ref()));
    let knowledge = known.clone().map(|known| searched(known, results.as_deref()));
    let emotion = emotion(config, &embed)?;
    let engines = Engines {
        emotion: emotion.clone().map(|emotion| Arc::new(emotion) as Arc<dyn EmotionClassifier>),
        memories,
        knowledge,
        foresight: foresight.clone().map(|foresight| foresight as Arc<dyn Foresight>),
        vad,
        turn,
        stt,
        llm,
        tts,
        embed,
    };
    let requests = layers.observer.clone();
    let semantic = std::mem::take(&mut layers.semantic);
    let mut description = std::mem::take(&mut layers.description);
    let there = [
        ("emotion", engines.emotion.is_some()),
        ("memory", engines.memories.is_some()),
        ("profile", engines.memories.is_some()),
        ("knowledge", known.is_some()),
    ];
    let plan: Vec<_> = there.into_iter().filter(|(_, there)| *there).map(|(step, _)| step).collect();
    description
        .push(format!("plan   {}", if plan.is_empty() { "nothing".to_owned() } else { plan.join(" | ") }));
    description.push(format!("pool   {threads} model threads"));
    let server: Arc<dyn Component> = Arc::new(ServerTunables::new(&config.server));
    let emotion = emotion.map(|emotion| Arc::new(emotion) as Arc<dyn Component>);
    let measured = [server].into_iter().chain(detector).chain(models).chain(emotion);
    let components = measured.chain(pool.components()).chain(layers.components());
    let foreseen = foresight.clone().map(|foresight| foresight as Arc<dyn Component>);
    let components = components.chain([placement.component()]).chain(foreseen).collect();
    Ok(Stack {
        engines,
        components,
        description,
        requests,
        semantic,
        foresight,
        knowledge: known,
        placement,
        pool,
    })
}

/// Reads what is to be known.
pub async fn read_knowledge(knowledge: Option<&InProcessKnowledge>) -> Result<()> {
    if let Some(knowledge) = knowledge {
        knowledge.read().await.context("[kb] files cannot be embedded")?;
        tracing::info!(passages = knowledge.len(), "knowledge read");
    }
    Ok(())
}

/// The default voice and the threads it runs on, whatever voice is configured: for what must really speak.
pub fn default_voice(config: &Config) -> Result<(Arc<dyn Tts>, ModelPool)> {
    let pool = ModelPool::new(1)?;
    let voice = Builder::new(config, &pool)?.one_tts(&config::Tts::default(), &Arc::default())?;
    Ok((voice, pool))
}

type Components = Vec<Arc<dyn Component>>;

impl Builder<'_> {
    fn stt(&self, layers: &mut Layers<'_>) -> Result<Arc<dyn Stt>> {
        let stt = &self.config.stt;
        let engines = listed(stt, &stt.engines).map(|stt| {
            let limits = Arc::<RateLimits>::default();
            let (inner, name) = (self.one_stt(stt, &limits)?, stt.engine.clone());
            let max_concurrent = max_concurrent(&name, stt.max_concurrent);
            Ok(Engine {
                inner,
                max_concurrent,
                price: stt.hour_price,
                name,
                settings: settings(stt)?,
                limits,
            })
        });
        layers.stt(engines.collect::<Result<_>>()?)
    }

    /// The language model, and what of the embedded ones is measured.
    fn llm(&self, layers: &mut Layers<'_>, embed: &Arc<dyn Embed>) -> Result<(Arc<dyn Llm>, Components)> {
        let llm = &self.config.llm;
        let mut measured: Vec<Measured> = Vec::new();
        let engines = listed(llm, &llm.engines).map(|llm| {
            let limits = Arc::<RateLimits>::default();
            let name = llm::engine(llm).to_owned();
            let (inner, component) = self.one_llm(llm, &limits)?;
            measured.push(component);
            let max_concurrent = max_concurrent(&name, llm.max_concurrent);
            Ok(Engine { inner, max_concurrent, price: None, name, settings: settings(llm)?, limits })
        });
        let engines = engines.collect::<Result<_>>()?;
        Ok((layers.llm(engines, embed)?, measured.into_iter().flatten().collect()))
    }

    fn tts(&self, layers: &mut Layers<'_>) -> Result<Arc<dyn Tts>> {
        let tts = &self.config.tts;
        let engines = listed(tts, &tts.engines).map(|tts| {
            let limits = Arc::<RateLimits>::default();
            let (inner, name) = (self.one_tts(tts, &limits)?, tts.engine.clone());
            let max_concurrent = max_concurrent(&name, tts.max_concurrent);
            Ok(Engine {
                inner,
                max_concurrent,
                price: tts.million_price,
                name,
                settings: settings(tts)?,
                limits,
            })
        });
        layers.tts(engines.collect::<Result<_>>()?)
    }

    fn embed(&self, layers: &mut Layers<'_>) -> Result<Embedder> {
        let embed = &self.config.embed;
        let engines = listed(embed, &embed.engines).map(|embed| {
            let limits = Arc::<RateLimits>::default();
            let (inner, name) = (self.one_embed(embed, &limits)?, embed.engine.clone());
            let max_concurrent = max_concurrent(&name, embed.max_concurrent);
            Ok(Engine { inner, max_concurrent, price: None, name, settings: settings(embed)?, limits })
        });
        layers.embed(engines.collect::<Result<_>>()?, embed.max_batch)
    }
}

/// Prepares what is likely asked next, where replies and speech are kept.
fn prefetch(caches: &Arc<Caches>, is_idle: &IsIdle) -> Option<Arc<Transitions>> {
    let (replies, speech) = (caches.of(Kind::Reply)?.clone(), caches.of(Kind::Speech)?.clone());
    Some(Arc::new(Transitions::new(ForesightBudget::default(), replies, speech, is_idle.clone())))
}

/// What was found in each store before is kept in `results`, by this name.
const IN_PROCESS: &str = "in process";

fn memories(embed: &Arc<dyn Embed>, results: Option<&Arc<SearchCache>>) -> Arc<dyn Memories> {
    let memories = Arc::new(InProcessMemories::new(embed.clone()));
    match results {
        Some(results) => Arc::new(CachedMemories::new(memories, results.clone(), DEFAULT_TENANT, IN_PROCESS)),
        None => memories,
    }
}

fn searched(known: Arc<InProcessKnowledge>, results: Option<&SearchCache>) -> Arc<dyn Knowledge> {
    match results {
        Some(results) => Arc::new(CachedKnowledge::new(known, results, DEFAULT_TENANT, IN_PROCESS)),
        None => known,
    }
}

/// How persons feel is told from their words' embeddings, if these are the ones it was learned from.
fn emotion(config: &Config, embed: &Arc<dyn Embed>) -> Result<Option<EmotionModel>> {
    match config.emotion.engine {
        Some(EmotionEngine::Off) => Ok(None),
        None if config.embed.engine != "minilm" || !config.embed.engines.is_empty() => Ok(None),
        None | Some(EmotionEngine::MiniLm) => {
            Ok(Some(EmotionModel::new(embed.clone()).context("[emotion] engine = \"minilm\"")?))
        }
    }
}

/// All that is configured of an engine; secrets are not in it.
fn settings(section: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(section).context("a section of the configuration cannot be written")
}

/// The passages of the configured files.
fn knowledge(config: &Config, embed: &Arc<dyn Embed>) -> Result<Option<InProcessKnowledge>> {
    let mut known = Vec::new();
    for file in &config.kb.files {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("[kb] files: cannot read {}", file.display()))?;
        let source = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        known.extend(passages(&text).into_iter().map(|passage| (source.clone(), passage)));
    }
    if known.is_empty() {
        return Ok(None);
    }
    Ok(Some(InProcessKnowledge::new(embed.clone(), known).context("[kb] files")?))
}
