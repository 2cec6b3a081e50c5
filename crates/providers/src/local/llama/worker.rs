//! The threads that decode: one for the turns of calls, and one that gives way to it for all other requests.
//!
//! While somebody waits in silence for a reply, only such replies are written; what is read ahead takes a step now and then. When the
//! cache is full, the less urgent work gives way: it keeps what it has written and goes on when there is room again.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use antiphon_core::measure::account;
use antiphon_core::{Error, FinishReason, Result};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;

use super::alone::Soloist;
use super::backend::backend;
use super::lanes::Lanes;
use super::prompt::Prompts;
use super::slot::{Alone, Job, Slot};
use super::{Activity, LlamaOptions, Request, reader};
use crate::background_thread;
use crate::live_work::Pause;
use crate::local::llama_settings::MIN_PROMPT_BATCH;

/// Prompt tokens that one step reads while no reply is active, if somebody waits for them.
const BATCH: usize = super::MAX_PROMPT_BATCH;
/// Prompt tokens that one step reads while calls are under way, if nobody waits in silence for the step. What takes up the machine
/// meanwhile, or the very thread if it is reading ahead, holds a live turn up for the rest of the step: about 50 ms on two cores.
const BACKGROUND_BATCH: usize = 16;
/// How many conversations are kept for each reply that is made at once: most of the time nobody is speaking to a caller. More would
/// slow down each step, which looks through all that the cache holds.
const KEPT_EACH: u32 = 2;
/// The most sequences that llama.cpp can tell apart (`LLAMA_MAX_SEQ`).
const MAX_SEQUENCES: u32 = 256;
/// While live turns are answered, what is read ahead takes part in one of so many steps: a step takes about 10 ms.
const BACKGROUND_EVERY: u64 = 16;
/// How long the idle thread waits at most before it looks for requests again. They wake it at once, so that this is
/// only a bound.
const IDLE_WAIT: Duration = Duration::from_mins(1);

/// Loads the model, reports through `ready` whether that worked, and answers requests until the sender is dropped.
pub(super) fn serve(
    file: &Path,
    activity: &Activity,
    requests: Receiver<Request>,
    ready: &Sender<Result<()>>,
) {
    let options = &activity.options;
    let unusable = |what: &dyn std::fmt::Display| {
        Error::internal(format!(
            "{} cannot be used as a language model ({what}): check it with `antiphon models verify`",
            file.display()
        ))
    };
    let load = || -> Result<LlamaModel> {
        let params = LlamaModelParams::default();
        LlamaModel::load_from_file(backend()?, file, &params).map_err(|e| unusable(&e))
    };
    // The caller waits for `ready` without a bound: every path must send.
    let model = match load() {
        Ok(model) => model,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let context = match open(&model, options) {
        Ok(context) => context,
        Err(error) => return drop(ready.send(Err(unusable(&error)))),
    };
    let prompts = match Prompts::new(&model, options) {
        Ok(prompts) => prompts,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let ((live, live_jobs), (background, background_jobs)) = (channel(), channel());
    let (model, prompts) = (&model, &prompts);
    std::thread::scope(|scope| {
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        // It ends when no more requests can come, and with it the senders of jobs are dropped.
        let read = move || reader::serve(model, prompts, activity, &requests, &Lanes { live, background });
        let beside = move || serve_background(model, activity, &background_jobs);
        let started = thread("llm-prompts")
            .spawn_scoped(scope, read)
            .and_then(|_| thread("llm-background").spawn_scoped(scope, beside));
        if let Err(e) = started {
            let error = Error::internal(format!("cannot start the threads of the language model: {e}"));
            return drop(ready.send(Err(error)));
        }
        drop(ready.send(Ok(())));
        Worker::new(model, context, activity).run(&live_jobs);
    });
}

/// Answers requests that are of no turn, with a cache of their own and on a thread that is less urgent to the operating system. In one
/// batch with them, or between two of them, a live turn would wait for their steps.
fn serve_background(model: &LlamaModel, activity: &Activity, jobs: &Receiver<Job>) {
    background_thread::give_way();
    // The cache is made for the first request: many servers have calls only.
    while let Ok(job) = jobs.recv() {
        match open(model, &activity.options) {
            Ok(context) => {
                let mut worker = Worker::new(model, context, activity);
                worker.enqueue(job);
                return worker.run(jobs);
            }
            Err(error) => {
                activity.waiting(false).fetch_sub(1, Ordering::Relaxed);
                job.send(Err(error));
            }
        }
    }
}

/// A cache for as many conversations as the settings say.
fn open<'a>(model: &'a LlamaModel, options: &LlamaOptions) -> Result<LlamaContext<'a>> {
    let threads = options.settings.threads().max(1) as i32;
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(options.settings.context))
        .with_n_batch(BATCH as u32)
        .with_n_ubatch(BATCH as u32)
        .with_n_seq_max(sequences(options))
        .with_kv_unified(true)
        .with_n_threads(threads)
        .with_n_threads_batch(threads);
    let opened = model.new_context(backend()?, params);
    opened.map_err(|e| {
        Error::internal(format!("there is no room for the cache of the language model's conversations: {e}"))
    })
}

/// How many conversations the cache can hold.
fn sequences(options: &LlamaOptions) -> u32 {
    (options.settings.parallel.max(1) * KEPT_EACH).min(MAX_SEQUENCES)
}

struct Worker<'a> {
    model: &'a LlamaModel,
    context: LlamaContext<'a>,
    options: &'a LlamaOptions,
    batch: LlamaBatch<'a>,
    slots: Vec<Slot>,
    /// Replies that are decoded alone.
    soloist: Soloist<'a>,
    /// Most urgent first, then oldest.
    queue: Vec<Job>,
    activity: &'a Activity,
    step: u64,
    /// The latest step in which work took part for which nobody waits in silence: on the thread of turns, what is read ahead.
    background_step: u64,
}

impl<'a> Worker<'a> {
    fn new(model: &'a LlamaModel, context: LlamaContext<'a>, activity: &'a Activity) -> Self {
        let options = &activity.options;
        let ids = 0..sequences(options) as i32;
        Self {
            model,
            context,
            options,
            batch: LlamaBatch::new(BATCH, 1),
            slots: ids.map(Slot::new).collect(),
            soloist: Soloist::new(model, activity),
            queue: Vec::new(),
            activity,
            step: 0,
            background_step: 0,
        }
    }

    fn run(&mut self, jobs: &Receiver<Job>) {
        let _working = account::Worker::new("llama").begin();
        loop {
            if !self.receive(jobs) {
                return;
            }
            self.give_way(jobs);
            self.assign();
            self.drop_unwanted();
            let _live = self.has_live().then(|| self.activity.live.begin());
            if let Err(error) = self.decode() {
                self.fail_all(&error);
            }
            self.soloist.step();
        }
    }

    /// Takes the jobs that have arrived; waits for one when there is nothing to do. Returns false when
    /// the sender was dropped.
    fn receive(&mut self, jobs: &Receiver<Job>) -> bool {
        if self.is_idle() && self.soloist.is_idle() {
            match jobs.recv_timeout(IDLE_WAIT) {
                Ok(job) => self.enqueue(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        while let Ok(job) = jobs.try_recv() {
            self.enqueue(job);
        }
        true
    }

    /// Whether no reply waits or is written together with others.
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.slots.iter().all(|slot| slot.job.is_none())
    }

    fn enqueue(&mut self, job: Job) {
        let alone = match job.alone {
            Alone::Never => false,
            Alone::WhenIdle => self.is_idle() && self.soloist.is_idle(),
            Alone::Always => true,
        };
        if alone && !job.was_interrupted {
            return self.soloist.enqueue(job);
        }
        let at = self.queue.partition_point(|queued| queued.urgency <= job.urgency);
        self.queue.insert(at, job);
    }

    /// Assigns waiting jobs to free slots.
    fn assign(&mut self) {
        let mut at = 0;
        while at < self.queue.len() {
            let job = &self.queue[at];
            let parallel = self.options.settings.parallel.max(1) as usize;
            let free = parallel.saturating_sub(self.slots.iter().filter(|slot| slot.job.is_some()).count());
            // Reading ahead must not take the last place: a real request may come.
            let needed = if job.output.is_some() { 1 } else { 2.min(parallel) };
            if !job.is_unwanted() && (free < needed || !self.has_room(job)) {
                at += 1;
                continue;
            }
            let job = self.queue.remove(at);
            if !job.was_interrupted {
                self.activity.waiting(job.is_of_turn).fetch_sub(1, Ordering::Relaxed);
            }
            if !job.is_unwanted() {
                self.begin(job);
            }
        }
    }

    /// Whether the cache can hold all that the jobs under way and this one may still need. Live turns begin in any case: what is read
    /// ahead gives way to them.
    fn has_room(&self, job: &Job) -> bool {
        let jobs = || self.slots.iter().filter_map(|slot| slot.job.as_ref());
        let needed: usize = jobs().map(Job::longest).sum();
        job.is_live()
            || jobs().next().is_none()
            || needed + job.longest() <= self.options.settings.context as usize
    }

    fn begin(&mut self, mut job: Job) {
        // The last token is always read again: the reply is sampled from its logits.
        let reusable = &job.prompt[..job.prompt.len().saturating_sub(1)];
        let shared = |slot: &Slot| slot.shared(reusable);
        let best =
            self.slots.iter().max_by_key(|slot| (shared(slot), slot.is_of_call_of(&job), slot.job.is_none()));
        let Some((best, shared)) = best.map(|slot| (slot.id, shared(slot))) else { return };
        let free = || self.slots.iter().filter(|slot| slot.job.is_none());
        // What goes on where it ended goes on there, and so does a call that goes on otherwise, for instance because the person has cut
        // the agent off. Other conversations are kept, and only what they share is copied.
        let goes_on =
            free().find(|slot| slot.id == best && (shared == slot.tokens.len() || slot.is_of_call_of(&job)));
        let own = goes_on.or_else(|| free().find(|slot| slot.is_of_call_of(&job)));
        let Some(slot) = own.or_else(|| free().min_by_key(|slot| slot.worth())).map(|slot| slot.id) else {
            return;
        };
        if slot == best {
            self.keep(slot, shared);
        } else {
            self.keep(slot, 0);
            self.copy(best, slot, shared);
        }
        if !job.was_interrupted {
            job.cached = shared;
            self.activity.cached.fetch_add(shared as u64, Ordering::Relaxed);
        }
        self.slots[slot as usize].begin(job, self.step);
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
        let live = self.slots.iter().any(|slot| slot.job.as_ref().is_some_and(Job::is_live));
        let waited = self.step - self.background_step >= BACKGROUND_EVERY;
        let takes_part = |job: &Job| job.is_live() || !live || waited;
        if !live || waited {
            self.background_step = self.step;
        }
        let failed = |e: &dyn std::fmt::Display| Error::internal(format!("the language model failed: {e}"));
        // The slots that get a token in this step, each with its place in the batch.
        let mut answers: Vec<(usize, i32)> = Vec::new();
        for (n, slot) in self.slots.iter_mut().enumerate() {
            let job = slot.job.as_mut().filter(|job| takes_part(job));
            let Some(next) = job.and_then(|job| job.next.take()) else { continue };
            answers.push((n, self.batch.n_tokens()));
            self.batch.add(next, slot.tokens.len() as i32, &[slot.id], true).map_err(|e| failed(&e))?;
            slot.tokens.push(next);
        }
        let written = answers.len();
        // The prompts share what the replies' tokens leave of the batch, the urgent ones first.
        let alone = if live || !self.activity.live.is_recent() { BATCH } else { BACKGROUND_BATCH };
        let beside = self.activity.prompt_batch.load(Ordering::Relaxed);
        let budget = if answers.is_empty() { alone } else { (beside + answers.len()).min(BATCH) };
        for is_live in [true, false] {
            // Beside live turns, other prompts are read in the smallest slices.
            let most = if live && !is_live { MIN_PROMPT_BATCH } else { BATCH };
            for (n, slot) in self.slots.iter_mut().enumerate() {
                let Some(job) = slot.job.as_ref().filter(|job| job.is_live() == is_live && takes_part(job))
                else {
                    continue;
                };
                let done = slot.tokens.len();
                let room = budget.saturating_sub(self.batch.n_tokens() as usize).min(most);
                for at in done..job.prompt.len().min(done + room) {
                    let last = at + 1 == job.prompt.len();
                    if last {
                        answers.push((n, self.batch.n_tokens()));
                    }
                    let token = job.prompt[at];
                    self.batch.add(token, at as i32, &[slot.id], last).map_err(|e| failed(&e))?;
                    slot.tokens.push(token);
                }
            }
        }
        if self.batch.n_tokens() == 0 {
            return Ok(());
        }
        #[expect(clippy::disallowed_methods, reason = "a thread without a runtime; the work takes real time")]
        let began = Instant::now();
        let decoded = self.context.decode(&mut self.batch);
        self.charge(began.elapsed(), takes_part);
        decoded.map_err(|e| {
            self.activity.step.fail();
            failed(&e)
        })?;
        self.activity.written.fetch_add(written as u64, Ordering::Relaxed);
        self.activity.read.fetch_add(self.batch.n_tokens() as u64 - written as u64, Ordering::Relaxed);
        for (slot, at) in answers {
            self.answer(slot, at);
        }
        Ok(())
    }

    /// Waits while the machine works for a live turn and there is none to be written here: together they would be slower.
    fn give_way(&mut self, jobs: &Receiver<Job>) {
        let mut pause = Pause::default();
        while self.activity.live.is_running() && !self.has_live() && pause.goes_on() {
            match jobs.recv_timeout(Pause::LOOK_AGAIN) {
                Ok(job) => self.enqueue(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn has_live(&self) -> bool {
        let mut jobs = self.slots.iter().filter_map(|slot| slot.job.as_ref()).chain(&self.queue);
        jobs.any(Job::is_live) || self.soloist.is_live()
    }

    /// Charges the duration of a step to the accounts of the calls that took part, in equal shares.
    fn charge(&self, span: Duration, takes_part: impl Fn(&Job) -> bool) {
        self.activity.step.record(span);
        let jobs = self.slots.iter().filter_map(|slot| slot.job.as_ref()).filter(|job| takes_part(job));
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
        if let Some(finish) = job.advance(self.model, &self.context, at)
            && let Some(job) = self.slots[slot].job.take()
        {
            job.end(finish);
        }
    }

    /// Frees room in the cache until this step fits: first the idle conversations, the cheapest first, then the least urgent work,
    /// which goes on later. If that is not enough, the longest live replies are ended.
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
            if let Some(id) = idle.min_by_key(|slot| slot.worth()).map(|slot| slot.id) {
                self.keep(id, 0);
                continue;
            }
            let job = |slot: &Slot| slot.job.as_ref().map(|job| (job.urgency, job.longest()));
            let least = self.slots.iter().max_by_key(|slot| job(slot)).map(|s| s.id as usize);
            let Some(least) = least else { return };
            if let Some(job) = self.slots[least].job.take() {
                // The only job that is left has the whole cache and cannot be given more.
                let others = self.slots.iter().any(|slot| slot.job.is_some());
                if job.is_live() || !others {
                    job.finish(FinishReason::Length);
                } else {
                    let interrupted = job.interrupted(&self.slots[least].tokens);
                    self.enqueue(interrupted);
                }
            }
            self.keep(least as i32, 0);
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
