//! The thread that makes prompts, so that the threads that decode never wait for one.

use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use antiphon_core::{Priority, Result, ToolChoice};
use llama_cpp_2::model::LlamaModel;

use super::lanes::Lanes;
use super::prompt::Prompts;
use super::sampling::Sampler;
use super::slot::{Alone, Job};
use super::text::Text;
use super::tools::Calls;
use super::{Activity, Request};

impl Request {
    /// How urgent the request is. Reading ahead is never urgent: the question may not come.
    fn urgency(&self) -> Priority {
        if self.output.is_some() { self.chat.priority } else { Priority::Batch }
    }

    /// Whether the same request must get the same reply. Somebody who waits in silence had rather have it sooner.
    fn alone(&self, temperature: f32) -> Alone {
        let is_cold = self.chat.temperature.unwrap_or(temperature) <= 0.0;
        if self.output.is_none() {
            Alone::Never
        } else if self.chat.seed.is_some() {
            Alone::Always
        } else if is_cold && !self.chat.priority.is_live() {
            Alone::WhenIdle
        } else {
            Alone::Never
        }
    }

    /// Whether whoever asked has gone.
    fn is_unwanted(&self) -> bool {
        self.output.as_ref().is_some_and(tokio::sync::mpsc::UnboundedSender::is_closed)
    }

    /// The work of answering. Without a seed of its own, the reply is sampled with `seed`.
    fn job(
        &mut self,
        model: &LlamaModel,
        prompts: &Prompts<'_>,
        activity: &Activity,
        seed: u64,
    ) -> Result<Job> {
        let (options, urgency) = (&activity.options, self.urgency());
        let prompt = prompts.build(&self.chat, self.output.is_some())?;
        let sampler = Sampler::new(model, options, &self.chat, seed)?;
        let has_tools = !self.chat.tools.is_empty() && self.chat.tool_choice != ToolChoice::None;
        Ok(Job {
            asked: prompt.len(),
            prompt,
            urgency,
            alone: self.alone(options.temperature),
            was_interrupted: false,
            output: self.output.take(),
            account: self.account.take(),
            is_of_turn: self.chat.priority.is_live(),
            sampler,
            cached: 0,
            written: 0,
            max_tokens: options.longest_reply(&self.chat),
            next: None,
            text: Text::new(std::mem::take(&mut self.chat.stop)),
            calls: Calls::new(has_tools),
        })
    }
}

/// Makes the prompts of the requests that arrive, the most urgent first, until no more can come or the thread that decodes for live turns
/// is gone.
pub(super) fn serve(
    model: &LlamaModel,
    prompts: &Prompts<'_>,
    activity: &Activity,
    requests: &Receiver<Request>,
    jobs: &Lanes,
) {
    let mut waiting: Vec<Request> = Vec::new();
    // Without a seed of its own, each request gets another one.
    let mut seed = 0;
    loop {
        if waiting.is_empty() {
            let Ok(request) = requests.recv() else { return };
            waiting.push(request);
        }
        waiting.extend(requests.try_iter());
        let urgent = waiting.iter().enumerate().min_by_key(|(at, request)| (request.urgency(), *at));
        let Some(at) = urgent.map(|(at, _)| at) else { continue };
        let request = waiting.remove(at);
        seed += 1;
        if !offer(model, prompts, activity, request, seed, jobs) {
            return;
        }
    }
}

/// Hands a request on with its prompt; false when the thread that decodes for live turns is gone.
fn offer(
    model: &LlamaModel,
    prompts: &Prompts<'_>,
    activity: &Activity,
    mut request: Request,
    seed: u64,
    jobs: &Lanes,
) -> bool {
    let waiting = activity.waiting(request.chat.priority.is_live());
    if request.is_unwanted() {
        waiting.fetch_sub(1, Ordering::Relaxed);
        return true;
    }
    match request.job(model, prompts, activity, seed) {
        Ok(job) => jobs.send(job, activity),
        Err(error) => {
            waiting.fetch_sub(1, Ordering::Relaxed);
            if let Some(output) = request.output {
                // Whoever asked may have gone in the meantime.
                let _ = output.send(Err(error));
            }
            true
        }
    }
}
