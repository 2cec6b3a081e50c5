//! What can be set of the embedded language model. It is here also in programs that are built without llama.cpp: their
//! configuration knows the same keys.

use antiphon_core::settings::Check;

/// The most tokens of a prompt that one step reads.
pub const MAX_PROMPT_BATCH: usize = 512;
/// The fewest tokens of a prompt that one step reads.
pub const MIN_PROMPT_BATCH: usize = 8;

// 8,192 tokens take 180 MB with SmolLM2's cache. 32 tokens of a prompt take about 100 ms on two cores,
// so speech does not stall.
antiphon_core::settings! {
    /// The embedded language model: llama.cpp.
    pub struct LlamaSettings {
        /// Tokens that all conversations together may hold.
        context: u32 = 8_192, formerly_above();
        /// Replies made at once.
        parallel: u32 = 8, formerly_above();
        /// Threads of the model. When not set: one a core.
        threads: Option<usize> = None, check(Check::AtLeast(1.0)), example("2"), formerly_above();
        /// Tokens of a prompt read in one step beside replies under way.
        prompt_batch: usize = 32, check(Check::Between(MIN_PROMPT_BATCH as f64, MAX_PROMPT_BATCH as f64)),
            formerly_above();
    }
}

impl LlamaSettings {
    /// Threads of the model, here.
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        self.threads.unwrap_or_else(cores)
    }
}
