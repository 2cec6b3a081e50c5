//! The sections `[advanced]`, and the tables `advanced` of the stages: settings that few people need.
//!
//! A stage's are in a table of its own, as each engine of a list can have others.

use std::ops::RangeInclusive;

use antiphon_core::settings;
use antiphon_core::settings::Check;

use super::cache::AdvancedCache;

/// Range of `[advanced] frame_ms`; its minimum is also its step. Telephone frames are 20 ms; with more than 200 ms an
/// interruption would be noticed late.
pub(crate) const FRAME_MS: RangeInclusive<u32> = 20..=200;
/// Range of threads: the largest machines that are sold have some hundred cores, and a typing error must not start a million.
const THREADS: Check = Check::Between(1.0, 1_024.0);
/// Range of how long an engine is awaited, in milliseconds, up to ten minutes. With 0 no engine would ever be heard.
const WAIT_MS: Check = Check::Between(1.0, 600_000.0);
/// Range of how long silence lasts until a reply is prepared, in milliseconds. Turns do not end before, so more than ten
/// seconds would make the agent seem deaf; with 0 it is prepared at once.
const SPECULATE_MS: Check = Check::Between(0.0, 10_000.0);
/// Range of requests at a time to a server: no vendor allows as many.
const CONCURRENT: Check = Check::Between(1.0, 10_000.0);
/// Range of texts that are embedded at once. OpenAI takes 2,048
/// (<https://platform.openai.com/docs/api-reference/embeddings/create>), other servers fewer.
const TEXTS: Check = Check::Between(1.0, 2_048.0);

settings! {
    /// What few people need: `antiphon optimize` finds out what is best on a machine.
    pub struct Advanced {
        /// The most audio of a reply in one message, in milliseconds. Longer messages are fewer; of shorter ones less is
        /// lost when the person interrupts.
        frame_ms: u64 = 100, check(Check::Steps {
            min: *FRAME_MS.start(), max: *FRAME_MS.end(), step: *FRAME_MS.start()
        }), formerly("server.frame_ms");
        /// Threads on which calls are held. When not set: one a core. Models have threads of their own.
        worker_threads: Option<usize> = None, check(THREADS), example("2"),
            formerly("server.worker_threads");
        /// Threads that all embedded models but the language model share. When not set: one a core.
        model_threads: Option<usize> = None, check(THREADS), example("2"), formerly("pool.threads");
        /// The most jobs that an embedded model is given in one batch.
        model_batch: usize = 32, check(Check::Between(1.0, 32.0)), formerly("pool.max_batch");
        /// With `[vad] engine = "silero"`: whether audio that is plainly no speech is kept from the model, which saves
        /// most of its work.
        vad_gate: bool = true, formerly("vad.gate");
        /// Silence after which a reply is prepared, before it is certain that the turn is over, in milliseconds; 0: at once.
        speculate_ms: u64 = 96, check(SPECULATE_MS), formerly("turn.speculate_ms");
        /// The table `[advanced.cache]`: what few people set of the caches.
        cache: AdvancedCache = AdvancedCache::default();
        /// The table `[advanced.fallback]`: when another engine of a stage takes over.
        fallback: Fallback = Fallback::default();
    }
}

settings! {
    /// When another engine of a stage takes over, and when one is asked twice. All times are in milliseconds.
    pub struct Fallback {
        /// How long the language model's first token is awaited while there is another engine. Over Realtime a response fails
        /// after so much silence of each engine.
        llm_first_ms: u64 = 2_000, check(WAIT_MS), formerly("fallback.llm_first_ms");
        /// How long each token after it is awaited.
        llm_stall_ms: u64 = 600, check(WAIT_MS), formerly("fallback.llm_stall_ms");
        /// How long a voice's first audio is awaited.
        tts_first_ms: u64 = 1_500, check(WAIT_MS), formerly("fallback.tts_first_ms");
        /// How long each piece of audio after it is awaited.
        tts_stall_ms: u64 = 600, check(WAIT_MS), formerly("fallback.tts_stall_ms");
        /// How long speech recognition's answer is awaited in a pause.
        stt_first_ms: u64 = 1_500, check(WAIT_MS), formerly("fallback.stt_first_ms");
        /// Whether a request that is slower than 19 of 20 goes to the next engine as well. The first answer counts.
        hedge: bool = false, formerly("fallback.hedge");
        /// The most of the requests that may be asked twice; 0: none.
        hedge_share: f64 = 0.05, check(Check::Between(0.0, 1.0)), formerly("fallback.hedge_share");
    }
}

settings! {
    /// What few people set of an engine.
    pub struct AdvancedEngine {
        /// The most requests at a time to a server. Below that, Antiphon finds out how many the server takes at its best.
        max_concurrent: Option<usize> = None, own(), check(CONCURRENT), example("50"), formerly_above();
    }
}

settings! {
    /// What few people set of embeddings.
    pub struct AdvancedEmbed {
        /// The most requests at a time to a server. Below that, Antiphon finds out how many the server takes at its best.
        max_concurrent: Option<usize> = None, own(), check(CONCURRENT), example("50"), formerly_above();
        /// The most texts that go to the engine at once.
        max_batch: usize = 50, check(TEXTS), formerly_above();
    }
}
