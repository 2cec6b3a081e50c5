//! The thread that owns the model.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use antiphon_core::measure::account;
use antiphon_core::{Error, FinishReason, Priority, Result, ToolChoice};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;

use super::prompt::Prompts;
use super::sampling::Sampler;
use super::slot::{Job, Slot};
use super::text::Text;
use super::tools::Calls;
use super::{Activity, LlamaOptions, Request};

/// Prompt tokens that one step reads while no reply is active.
const BATCH: usize = super::MAX_PROMPT_BATCH;
/// How long the idle thread waits at most before it looks for requests again. They wake it at once, so that this is
/// only a bound.
const IDLE_WAIT: Duration = Duration::from_mins(1);

/// The llama.cpp back end: a process has one.
fn backend() -> Result<&'static LlamaBackend> {
    static BACKEND: OnceLock<std::result::Result<LlamaBackend, String>> = OnceLock::new();
    let backend = BACKEND.get_or_init(|| {
        let mut backend = LlamaBackend::init().map_err(|e| e.to_string())?;
        backend.void_logs();
        Ok(backend)
    });
    backend.as_ref().map_err(|e| Error::internal(format!("llama.cpp cannot start: {e}")))
}

/// Loads the model, reports through `ready` whether that worked, and answers requests until the sender is dropped.
pub(super) fn serve(
    file: &Path,
    activity: &Activity,
    requests: &Receiver<Request>,
    ready: &Sender<Result<()>>,
) {
    let options = &activity.options;
    let unusable = |what: &dyn std::fmt::Display| {
        Error::internal(format!(
            "{} cannot be used as a language model ({what}): check it with `antiphon models verify`",
            file.display()
        ))
    };
    let load = || -> Result<(&LlamaBackend, LlamaModel)> {
        let backend = backend()?;
        let params = LlamaModelParams::default();
        let model = LlamaModel::load_from_file(backend, file, &params).map_err(|e| unusable(&e))?;
        Ok((backend, model))
    };
    // The caller waits for `ready` without a bound: every path must send.
    let (backend, model) = match load() {
        Ok(loaded) => loaded,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let threads = options.settings.threads().max(1) as i32;
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(options.settings.context))
        .with_n_batch(BATCH as u32)
        .with_n_ubatch(BATCH as u32)
        .with_n_seq_max(options.settings.parallel.max(1))
        .with_kv_unified(true)
        .with_n_threads(threads)
        .with_n_threads_batch(threads);
    let context = match model.new_context(backend, params) {
        Ok(context) => context,
        Err(e) => return drop(ready.send(Err(unusable(&e)))),
    };
    let prompts = match Prompts::new(&model, options) {
        Ok(prompts) => prompts,
        Err(error) => return drop(ready.send(Err(error))),
    };
    drop(ready.send(Ok(())));
    let slots = (0..options.settings.parallel.max(1) as i32)
        .map(|id| Slot { id, tokens: Vec::new(), job: None, used: 0 })
        .collect();
    let mut worker = Worker {
        model: &model,
        prompts,
        context,
        options,
        batch: LlamaBatch::new(BATCH, 1),
        slots,
        queue: Vec::new(),
        activity,
        step: 0,
    };
    worker.run(requests);
}

pub(super) struct Worker<'a> {
    model: &'a LlamaModel,
    prompts: Prompts<'a>,
    context: LlamaContext<'a>,
    options: &'a LlamaOptions,
    batch: LlamaBatch<'a>,
    slots: Vec<Slot>,
    /// Most urgent first, then oldest.
    queue: Vec<Request>,
    activity: &'a Activity,
    step: u64,
}

impl Worker<'_> {
    fn run(&mut self, requests: &Receiver<Request>) {
        let _working = account::Worker::new("llama").begin();
        loop {
            if !self.receive(requests) {
                return;
            }
            self.assign();
            self.drop_unwanted();
            if let Err(error) = self.decode() {
                self.fail_all(&error);
            }
        }
    }

    /// Takes the requests that have arrived; waits for one when there is nothing to do. Returns false when
    /// the sender was dropped.
    fn receive(&mut self, requests: &Receiver<Request>) -> bool {
        let idle = self.queue.is_empty() && self.slots.iter().all(|slot| slot.job.is_none());
        if idle {
            match requests.recv_timeout(IDLE_WAIT) {
                Ok(request) => self.enqueue(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        while let Ok(request) = requests.try_recv() {
            self.enqueue(request);
        }
        true
    }

    fn enqueue(&mut self, request: Request) {
        let urgency = |r: &Request| if r.output.is_some() { r.chat.priority } else { Priority::Batch };
        let at = self.queue.partition_point(|queued| urgency(queued) <= urgency(&request));
        self.queue.insert(at, request);
    }

    /// Assigns waiting requests to free slots.
    fn assign(&mut self) {
        let mut at = 0;
        while at < self.queue.len() {
            let unwanted =
                self.queue[at].output.as_ref().is_some_and(tokio::sync::mpsc::UnboundedSender::is_closed);
            // Reading ahead must not take the last free slot: a real request may come.
            let free = self.slots.iter().filter(|s| s.job.is_none()).count();
            let needed = if self.queue[at].output.is_some() { 1 } else { 2 };
            if !unwanted && free < needed {
                at += 1;
                continue;
            }
            let request = self.queue.remove(at);
            self.activity.waiting.fetch_sub(1, Ordering::Relaxed);
            if !unwanted {
                self.begin(request);
            }
        }
    }

    fn begin(&mut self, request: Request) {
        let prompt = self.prompts.build(&request.chat, request.output.is_some());
        let (prompt, sampler) = match prompt.and_then(|prompt| {
            Ok((prompt, Sampler::new(self.model, self.options, &request.chat, self.step)?))
        }) {
            Ok(made) => made,
            Err(error) => {
                if let Some(output) = request.output {
                    let _ = output.send(Err(error));
                }
                return;
            }
        };
        // The last token is always read again: the reply is sampled from its logits.
        let reusable = &prompt[..prompt.len().saturating_sub(1)];
        let free = |slot: &&Slot| slot.job.is_none();
        let own = self.slots.iter().filter(free).max_by_key(|s| (s.shared(reusable), u64::MAX - s.used));
        let Some(own) = own.map(|slot| slot.id) else { return };
        let best = self.slots.iter().max_by_key(|s| s.shared(reusable)).map_or(own, |slot| slot.id);
        let shared = self.slots[best as usize].shared(reusable);
        // A slot that holds a longer conversation is kept for it when another slot is free.
        let oldest = self.slots.iter().filter(free).min_by_key(|s| s.used).map_or(own, |slot| slot.id);
        let continues = shared == self.slots[own as usize].tokens.len();
        let slot = if best == own && continues { own } else { oldest };
        if slot == best {
            self.keep(slot, shared);
        } else {
            self.keep(slot, 0);
            self.copy(best, slot, shared);
        }
        let chat = request.chat;
        let job = Job {
            output: request.output,
            account: request.account,
            sampler,
            cached: shared,
            written: 0,
            max_tokens: self.options.longest_reply(&chat),
            next: None,
            text: Text::new(chat.stop),
            calls: Calls::new(!chat.tools.is_empty() && chat.tool_choice != ToolChoice::None),
            prompt,
        };
        self.slots[slot as usize].used = self.step;
        self.slots[slot as usize].job = Some(job);
    }

    fn drop_unwanted(&mut self) {
        for slot in &mut self.slots {
            slot.job.take_if(|job| job.is_unwanted());
        }
    }

    /// One step: a token of every active reply, and a slice of the prompts.
    fn decode(&mut self) -> Result<()> {
        self.step += 1;
        self.make_room();
        self.batch.clear();
        let failed = |e: &dyn std::fmt::Display| Error::internal(format!("the language model failed: {e}"));
        // The slots that get a token in this step, each with its place in the batch.
        let mut answers: Vec<(usize, i32)> = Vec::new();
        for (n, slot) in self.slots.iter_mut().enumerate() {
            let Some(next) = slot.job.as_mut().and_then(|job| job.next.take()) else { continue };
            answers.push((n, self.batch.n_tokens()));
            self.batch.add(next, slot.tokens.len() as i32, &[slot.id], true).map_err(|e| failed(&e))?;
            slot.tokens.push(next);
        }
        let beside = self.activity.prompt_batch.load(Ordering::Relaxed);
        // The prompts share what the replies' tokens leave of the batch.
        let budget = if answers.is_empty() { BATCH } else { (beside + answers.len()).min(BATCH) };
        for (n, slot) in self.slots.iter_mut().enumerate() {
            let Some(job) = &slot.job else { continue };
            let done = slot.tokens.len();
            if job.written > 0 || done >= job.prompt.len() {
                continue;
            }
            let room = budget.saturating_sub(self.batch.n_tokens() as usize);
            let take = room.min(job.prompt.len() - done);
            for at in done..done + take {
                let last = at + 1 == job.prompt.len();
                if last {
                    answers.push((n, self.batch.n_tokens()));
                }
                let token = job.prompt[at];
                self.batch.add(token, at as i32, &[slot.id], last).map_err(|e| failed(&e))?;
                slot.tokens.push(token);
            }
        }
        if self.batch.n_tokens() == 0 {
            return Ok(());
        }
        #[expect(clippy::disallowed_methods, reason = "a thread without a runtime; the work takes real time")]
        let began = Instant::now();
        let decoded = self.context.decode(&mut self.batch);
        self.charge(began.elapsed());
        decoded.map_err(|e| {
            self.activity.step.fail();
            failed(&e)
        })?;
        let written =
            answers.iter().filter(|(n, _)| self.slots[*n].job.as_ref().is_some_and(|j| j.written > 0));
        let written = written.count() as u64;
        self.activity.written.fetch_add(written, Ordering::Relaxed);
        self.activity.read.fetch_add(self.batch.n_tokens() as u64 - written, Ordering::Relaxed);
        for (slot, at) in answers {
            self.answer(slot, at);
        }
        Ok(())
    }

    /// Charges the duration of a step to the accounts of the calls that took part, in equal shares.
    fn charge(&self, span: Duration) {
        self.activity.step.record(span);
        let jobs = self.slots.iter().filter_map(|slot| slot.job.as_ref());
        let accounts: Vec<_> = jobs.filter_map(|job| job.account.as_ref()).collect();
        let share = span / accounts.len().max(1) as u32;
        for account in accounts {
            account.charge(share);
        }
    }

    /// Samples the next token of a reply.
    fn answer(&mut self, slot: usize, at: i32) {
        let Some(job) = &mut self.slots[slot].job else { return };
        if job.output.is_none() {
            // The prompt was only to be read ahead.
            self.slots[slot].job = None;
            return;
        }
        let Some(token) = job.sampler.sample(&self.context, at) else {
            job.send(Err(Error::invalid(
                "the tools' parameters ask for a character that the language model cannot write: leave it out",
            )));
            self.slots[slot].job = None;
            return;
        };
        let vocab = self.model.vocab();
        let mut finish = vocab.is_eog(token).then_some(FinishReason::Stop);
        if finish.is_none() {
            job.written += 1;
            let (text, stopped) = job.text.push(&vocab.token_to_piece(token, false, None));
            job.write(text);
            if stopped {
                finish = Some(FinishReason::Stop);
            } else if job.written >= job.max_tokens {
                finish = Some(FinishReason::Length);
            }
            job.next = Some(token);
        }
        if let Some(finish) = finish
            && let Some(job) = self.slots[slot].job.take()
        {
            job.finish(finish);
        }
    }

    /// Frees room in the cache until this step fits: first the idle conversations, the oldest first; if that is not
    /// enough, the longest replies are ended.
    fn make_room(&mut self) {
        let context = self.options.settings.context as usize;
        loop {
            let held: usize = self.slots.iter().map(|slot| slot.tokens.len()).sum();
            let coming: usize = self
                .slots
                .iter()
                .filter_map(|s| s.job.as_ref().map(|job| (s, job)))
                .map(|(s, job)| job.prompt.len().saturating_sub(s.tokens.len()) + 1)
                .sum();
            if held + coming <= context {
                return;
            }
            let idle = self.slots.iter().filter(|s| s.job.is_none() && !s.tokens.is_empty());
            if let Some(id) = idle.min_by_key(|s| s.used).map(|s| s.id) {
                self.keep(id, 0);
                continue;
            }
            let longest = self.slots.iter().max_by_key(|s| s.tokens.len()).map(|s| s.id);
            let Some(id) = longest else { return };
            if let Some(job) = self.slots[id as usize].job.take() {
                job.finish(FinishReason::Length);
            }
            self.keep(id, 0);
        }
    }

    /// Keeps only the first `keep` tokens of a slot.
    fn keep(&mut self, id: i32, keep: usize) {
        let slot = &mut self.slots[id as usize];
        if slot.tokens.len() > keep {
            slot.tokens.truncate(keep);
            // Fails only for positions that do not fit into an i32, and these do.
            let _ = self.context.clear_kv_cache_seq(Some(id as u32), Some(keep as u32), None);
        }
    }

    /// Copies the first `count` tokens of one slot to an empty one.
    fn copy(&mut self, from: i32, to: i32, count: usize) {
        if count > 0 && self.context.copy_kv_cache_seq(from, to, Some(0), Some(count as u32)).is_ok() {
            let tokens = self.slots[from as usize].tokens[..count].to_vec();
            self.slots[to as usize].tokens = tokens;
        }
    }

    /// Ends all replies with this error and clears the cache, whose content is unknown after a failed step.
    fn fail_all(&mut self, error: &Error) {
        for slot in &mut self.slots {
            slot.tokens.clear();
            if let Some(job) = slot.job.take() {
                job.send(Err(error.clone()));
            }
        }
        self.context.clear_kv_cache();
    }
}
