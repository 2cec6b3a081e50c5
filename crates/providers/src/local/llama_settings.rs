//! What can be set of the embedded language model. It is here also in programs that are built without llama.cpp: their
//! configuration knows the same keys.

use antiphon_core::settings::Check;

/// The most tokens of a prompt that one step reads.
pub const MAX_PROMPT_BATCH: usize = 512;
/// The fewest tokens of a prompt that one step reads.
pub const MIN_PROMPT_BATCH: usize = 8;
/// Range of the context in tokens. Half of it is for a prompt, which with 256 tokens holds the default instructions and a question;
/// the longest contexts of today's models are a million.
const CONTEXT: Check = Check::Between(512.0, 1_048_576.0);
/// Range of replies made at once: llama.cpp's `LLAMA_MAX_SEQ` is 256.
const PARALLEL: Check = Check::Between(1.0, 256.0);
/// Range of the model's threads: ggml's `GGML_MAX_N_THREADS` is 512.
const THREADS: Check = Check::Between(1.0, 512.0);

// 8,192 tokens take 180 MB with SmolLM2's cache, and twice that from the first request on that is of no call. 32 tokens of a prompt
// take about 100 ms on two cores, so speech does not stall.
antiphon_core::settings! {
    /// The embedded language model: llama.cpp.
    pub struct LlamaSettings {
        /// Tokens that the conversations of all calls together may hold, and as many again those of other requests.
        context: u32 = 8_192, check(CONTEXT), formerly_above();
        /// Replies made at once for calls, and as many again for other requests.
        parallel: u32 = 8, check(PARALLEL), formerly_above();
        /// Threads of the model. When not set: one a core.
        threads: Option<usize> = None, check(THREADS), example("2"), formerly_above();
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
