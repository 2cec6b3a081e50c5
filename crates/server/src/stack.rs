//! Builds every engine and what stands before it, in one place, and says what it built.

mod builder;
mod caches;
mod codec;
mod embed;
mod layers;
mod llm;
mod session;
mod stt;
mod tools;
mod tts;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use antiphon_agent::{Agent, Engines};
use antiphon_cache::{
    CachedKnowledge, CachedMemories, Caches, Key, Kind, PrefetchBudget, Prefetcher, SearchCache,
    SemanticReplies,
};
use antiphon_core::measure::Component;
use antiphon_core::{
    Embed, EmotionClassifier, Knowledge, Llm, Memories, Prefetch, RateLimits, Stt, TenantId, Tts,
};
use antiphon_desk::Calls;
use antiphon_flow::{CpuPool, LateObserver, PoolBounds};
use antiphon_memory::{InProcessKnowledge, InProcessMemories, passages};
use antiphon_providers::local::emotion::EmotionModel;
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
    /// The agent that the configuration describes.
    pub agent: Agent,
    /// What of them is measured.
    pub components: Vec<Arc<dyn Component>>,
    /// One line an engine.
    pub description: Vec<String>,
    /// Told how each request to an engine ends, once somebody listens.
    pub requests: Arc<LateObserver>,
    /// What is known of replies by their meaning, and of which engine and embedder.
    pub semantic: Vec<(Key, Arc<SemanticReplies>)>,
    /// Predicts what is asked next, where that is on.
    pub prefetcher: Option<Arc<Prefetcher>>,
    /// What is known, once it is read.
    pub knowledge: Option<Arc<InProcessKnowledge>>,
    /// The threads for what is computed beside calls.
    pub cpu_pool: Arc<CpuPool>,
    /// How many calls there are, once it is known: when few are, there is time for what nobody waits for.
    pub calls: Arc<OnceLock<Calls>>,
    /// Kept alive as long as the engines are.
    pub pool: ModelPool,
}

/// Where models and data are kept.
pub fn data_dir(config: &Config) -> Result<PathBuf> {
    if let Some(dir) = &config.server.data_dir {
        return Ok(dir.clone());
    }
    let home = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
    Ok(home.context("no HOME: set [server] data_dir")?.join("antiphon"))
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

/// Builds the engines of a configuration; what they make is kept in `caches`.
pub fn build(config: &Config, caches: Option<&Arc<Caches>>) -> Result<Stack> {
    let threads = config.pool.threads.unwrap_or_else(machine::cores);
    let pool = ModelPool::new(threads)?;
    pool.set_max_batch(config.pool.max_batch);
    // One thread is always there; computations beside calls may use all cores for a while.
    let computing = PoolBounds { min: 1, max: machine::cores() };
    let cpu_pool = Arc::new(CpuPool::new(computing)?);
    let builder = Builder::new(config, &pool)?;
    let (vad, detector) = builder.vad()?;
    let turn = builder.turn()?;
    let mut layers = Layers::new(config, caches.map(Arc::as_ref), &cpu_pool);
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
    let calls = Arc::<OnceLock<Calls>>::default();
    let prefetcher = caches.filter(|_| config.cache.predict).and_then(|caches| prefetcher(caches, &calls));
    let memories = config.memory.enabled.then(|| memories(&embed, results.as_ref()));
    let knowledge = known.clone().map(|known| searched(known, results.as_deref()));
    let emotion = emotion(config, &embed)?;
    let engines = Engines {
        emotion: emotion.clone().map(|emotion| Arc::new(emotion) as Arc<dyn EmotionClassifier>),
        vad,
        turn,
        stt,
        llm,
        tts,
        embed,
    };
    let agent = Agent {
        session: session_config(config),
        reuse: session::reply_reuse(config),
        memories,
        knowledge,
        prefetch: prefetcher.clone().map(|prefetcher| prefetcher as Arc<dyn Prefetch>),
        tools: tools::of(config)?,
    };
    let requests = layers.observer.clone();
    let semantic = std::mem::take(&mut layers.semantic);
    let mut description = std::mem::take(&mut layers.description);
    let there = [
        ("emotion", engines.emotion.is_some()),
        ("memory", agent.memories.is_some()),
        ("profile", agent.memories.is_some()),
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
    let prefetching = prefetcher.clone().map(|prefetcher| prefetcher as Arc<dyn Component>);
    let components = components.chain([cpu_pool.component()]).chain(prefetching).collect();
    Ok(Stack {
        engines,
        agent,
        components,
        description,
        requests,
        semantic,
        prefetcher,
        knowledge: known,
        cpu_pool,
        calls,
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

/// Predicts what is asked next, where replies and speech are kept.
fn prefetcher(caches: &Arc<Caches>, calls: &Arc<OnceLock<Calls>>) -> Option<Arc<Prefetcher>> {
    let (replies, speech) = (caches.of(Kind::Reply)?.clone(), caches.of(Kind::Speech)?.clone());
    let calls = calls.clone();
    // A call that is alone has the engines to itself while nobody speaks, however few calls there may be.
    let is_idle = Arc::new(move || calls.get().is_some_and(|calls| calls.active() <= 1 || calls.are_few()));
    Some(Arc::new(Prefetcher::new(PrefetchBudget::default(), replies, speech, is_idle)))
}

/// What was found in each store before is kept in `results`, by this name.
const IN_PROCESS: &str = "in process";

fn memories(embed: &Arc<dyn Embed>, results: Option<&Arc<SearchCache>>) -> Arc<dyn Memories> {
    let memories = Arc::new(InProcessMemories::new(embed.clone()));
    match results {
        Some(results) => Arc::new(CachedMemories::new(memories, results.clone(), IN_PROCESS)),
        None => memories,
    }
}

fn searched(known: Arc<InProcessKnowledge>, results: Option<&SearchCache>) -> Arc<dyn Knowledge> {
    match results {
        Some(results) => Arc::new(CachedKnowledge::new(known, results, TenantId::only(), IN_PROCESS)),
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
