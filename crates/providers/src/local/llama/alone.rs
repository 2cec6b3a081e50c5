//! Replies that are decoded alone, so that the same request gets the same reply.
//!
//! What a model computes for a token depends a little on what else is computed in the same step and on where the tokens lie in the
//! cache, since sums of floating-point numbers depend on their order. Now and then that decides between two words, and the reply goes
//! another way. So a request with a seed is decoded with nothing beside it, in slices that are always equally long, in a cache of its
//! own. Of the request before it only slices are used again that would be read in the same way. Requests at temperature 0 are decoded
//! alone as well, while nothing else is to be done: beside others they are faster.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::time::Instant;

use antiphon_core::{Error, Result};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;

use super::Activity;
use super::backend::backend;
use super::slot::Job;

/// Prompt tokens that one step reads. A live turn that begins meanwhile waits until it is over.
const SLICE: usize = 16;

/// Decodes one reply after the other.
pub(super) struct Soloist<'a> {
    model: &'a LlamaModel,
    activity: &'a Activity,
    /// Opened for the first reply.
    context: Option<LlamaContext<'a>>,
    batch: LlamaBatch<'a>,
    /// Most urgent first, then oldest.
    queue: Vec<Job>,
    job: Option<Job>,
    /// The tokens in the cache.
    read: Vec<LlamaToken>,
    /// How long the latest prompt is; what was read beyond it was written, a token at a time.
    prompt: usize,
}

impl<'a> Soloist<'a> {
    pub(super) fn new(model: &'a LlamaModel, activity: &'a Activity) -> Self {
        let batch = LlamaBatch::new(SLICE, 1);
        Self {
            model,
            activity,
            context: None,
            batch,
            queue: Vec::new(),
            job: None,
            read: Vec::new(),
            prompt: 0,
        }
    }

    pub(super) fn enqueue(&mut self, job: Job) {
        let at = self.queue.partition_point(|queued| queued.urgency <= job.urgency);
        self.queue.insert(at, job);
    }

    /// Whether there is nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.job.is_none() && self.queue.is_empty()
    }

    /// Whether somebody waits in silence for what is to be done.
    pub(super) fn is_live(&self) -> bool {
        self.job.iter().chain(&self.queue).any(Job::is_live)
    }

    /// One step of the reply under way, or the first one of the next.
    pub(super) fn step(&mut self) {
        self.job.take_if(|job| job.is_unwanted());
        if self.job.is_none() && !self.begin() {
            return;
        }
        let Err(error) = self.decode() else { return };
        self.activity.step.fail();
        // What the cache holds is unknown after a failed step.
        (self.context, self.prompt) = (None, 0);
        self.read.clear();
        if let Some(job) = self.job.take() {
            job.send(Err(error));
        }
    }

    /// Begins the next reply, if there is one.
    fn begin(&mut self) -> bool {
        while !self.queue.is_empty() {
            let mut job = self.queue.remove(0);
            self.activity.waiting(job.is_of_turn).fetch_sub(1, Ordering::Relaxed);
            if job.is_unwanted() {
                continue;
            }
            job.cached = self.keep_common(&job.prompt);
            self.activity.cached.fetch_add(job.cached as u64, Ordering::Relaxed);
            self.job = Some(job);
            return true;
        }
        false
    }

    /// Keeps the whole slices that this prompt has in common with the prompt before; gives their tokens. The last token is always read
    /// again: the reply is sampled from its logits.
    fn keep_common(&mut self, prompt: &[LlamaToken]) -> usize {
        let most = self.prompt.min(self.read.len()).min(prompt.len().saturating_sub(1));
        let common = self.read[..most].iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let kept = common - common % SLICE;
        self.prompt = prompt.len();
        self.read.truncate(kept);
        if let Some(context) = &mut self.context {
            // Fails only for positions that do not fit into an i32, and these do.
            let _ = context.clear_kv_cache_seq(Some(0), Some(kept as u32), None);
        }
        kept
    }

    fn decode(&mut self) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| Error::internal(format!("the language model failed: {e}"));
        if self.context.is_none() {
            self.context = Some(open(self.model, self.activity)?);
        }
        let (Some(context), Some(job)) = (&mut self.context, &mut self.job) else { return Ok(()) };
        self.batch.clear();
        let done = self.read.len();
        let next = job.next.take();
        let is_written = next.is_some();
        let slice = match &next {
            Some(next) => std::slice::from_ref(next),
            None => &job.prompt[done..job.prompt.len().min(done + SLICE)],
        };
        let ends = is_written || done + slice.len() == job.prompt.len();
        for (at, token) in slice.iter().enumerate() {
            let last = ends && at + 1 == slice.len();
            self.batch.add(*token, (done + at) as i32, &[0], last).map_err(|e| failed(&e))?;
        }
        let count = slice.len();
        #[expect(clippy::disallowed_methods, reason = "a thread without a runtime; the work takes real time")]
        let began = Instant::now();
        context.decode(&mut self.batch).map_err(|e| failed(&e))?;
        let span = began.elapsed();
        self.activity.step.record(span);
        if let Some(account) = &job.account {
            account.charge(span);
        }
        let counter = if is_written { &self.activity.written } else { &self.activity.read };
        counter.fetch_add(count as u64, Ordering::Relaxed);
        self.read.extend_from_slice(slice);
        if ends
            && let Some(finish) = job.advance(self.model, context, count as i32 - 1)
            && let Some(job) = self.job.take()
        {
            job.end(finish);
        }
        Ok(())
    }
}

/// A cache for one conversation, which may fill half of the other one.
fn open<'a>(model: &'a LlamaModel, activity: &Activity) -> Result<LlamaContext<'a>> {
    let settings = &activity.options.settings;
    let threads = settings.threads().max(1) as i32;
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(settings.context / 2))
        .with_n_batch(SLICE as u32)
        .with_n_ubatch(SLICE as u32)
        .with_n_threads(threads)
        .with_n_threads_batch(threads);
    let opened = model.new_context(backend()?, params);
    opened.map_err(|e| {
        Error::internal(format!("the language model has no room for one more conversation: {e}"))
    })
}
