//! Replies to what is likely said next, made while nobody speaks and no reply is made. They go nowhere: a cache below the
//! engines has them when they are asked for.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::session::{ReplyReuse, SessionConfig};
use antiphon_core::{
    AgentVersion, BoxFuture, Foresight, Identity, PersonId, Preparation, PreparationOutcome, Priority,
    ReplyStatus, Said,
};
use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use super::Session;
use crate::Agent;
use crate::drained::{DrainedStream, drain};
use crate::reply::{Question, Reply};

/// A preparation that takes longer is not worth its engines' time: the person has spoken by then.
const WITHIN: Duration = Duration::from_secs(20);

/// What is likely said next in this call, and the work on it.
pub(super) struct Foreseeing {
    foresight: Arc<dyn Foresight>,
    agent: AgentVersion,
    /// What the person said last that was answered.
    before: Option<Arc<str>>,
    /// What was taken on since then.
    already: Vec<Arc<str>>,
    work: Work,
}

/// What is under way. Dropping it ends it.
enum Work {
    Nothing,
    /// Something may be begun.
    Due,
    Making(BoxFuture<'static, ()>),
}

impl Foreseeing {
    /// `None` where nothing is foreseen, or nothing would be kept.
    pub(super) fn new(agent: &Agent, identity: &Identity, config: &SessionConfig) -> Option<Self> {
        let foresight = agent
            .foresight
            .clone()
            .filter(|_| agent.reuse != ReplyReuse::Never && !config.listening.transcribe_only)?;
        let agent = AgentVersion::new(identity.tenant.clone(), &config.instructions);
        Some(Self { foresight, agent, before: None, already: Vec::new(), work: Work::Nothing })
    }

    /// Goes on with it; ready when the next may be begun. Not before what is done after the turn (`others_done`): it may
    /// change what is looked up for the next one.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, others_done: bool) -> Poll<()> {
        match &mut self.work {
            Work::Due if others_done => Poll::Ready(()),
            Work::Making(work) => work.poll_unpin(cx),
            Work::Nothing | Work::Due => Poll::Pending,
        }
    }

    fn next(&mut self) -> Option<Arc<str>> {
        self.work = Work::Nothing;
        let next = self.foresight.next(&self.agent, self.before.as_deref(), &self.already)?;
        self.already.push(next.clone());
        Some(next)
    }

    fn make(&mut self, question: Arc<str>, reply: Reply) {
        let (foresight, agent) = (self.foresight.clone(), self.agent.clone());
        let after = reply.times().question().map_or(0, |question| question.after);
        let begun = Begun { foresight, agent, question, after, since: Instant::now(), outcome: DROPPED };
        self.work = Work::Making(make(reply, begun).boxed());
    }
}

const DROPPED: PreparationOutcome = PreparationOutcome::Dropped;

/// A preparation under way; tells what became of it, whatever becomes of it.
struct Begun {
    foresight: Arc<dyn Foresight>,
    agent: AgentVersion,
    question: Arc<str>,
    /// The conversation before it.
    after: u64,
    since: Instant,
    outcome: PreparationOutcome,
}

impl Drop for Begun {
    fn drop(&mut self) {
        let Self { question, after, since, outcome, .. } = self;
        let preparation = Preparation { question, after: *after, took: since.elapsed(), outcome: *outcome };
        self.foresight.prepared(&self.agent, &preparation);
    }
}

async fn make(reply: Reply, mut begun: Begun) {
    begun.outcome = match timeout(WITHIN, drain(reply)).await {
        Ok(Ok(DrainedStream { times, .. })) if times.cache_hit().is_some() => PreparationOutcome::Found,
        Ok(Ok(DrainedStream { times, clauses, .. })) => {
            PreparationOutcome::Made { saves: times.made(), clauses }
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a reply could not be prepared");
            DROPPED
        }
        Err(_) => DROPPED,
    };
}

impl Session {
    /// A reply is over, of which something was heard if it had `begun`: what it answered is learned, and what may be asked
    /// next is prepared.
    pub(super) fn answered(&mut self, status: &ReplyStatus, begun: bool) {
        let (Some(foreseeing), Some(run)) = (&mut self.foreseeing, &self.reply) else { return };
        let completed = *status == ReplyStatus::Completed;
        if !begun || !(completed || *status == ReplyStatus::Interrupted) {
            return;
        }
        if let Some(Question { text, after }) = run.times.question() {
            let by = self.call.identity.person.as_ref().map_or(self.call.id.as_str(), PersonId::as_str);
            let (before, from_cache) = (foreseeing.before.as_deref(), run.times.cache_hit().is_some());
            let said = Said { by, before, after: *after, text, from_cache };
            foreseeing.foresight.learn(&foreseeing.agent, &said);
            foreseeing.before = Some(text.clone());
        }
        if completed && run.then.is_none() {
            self.foresee();
        }
    }

    /// What is likely said next may be prepared from now on, until somebody speaks.
    pub(super) fn foresee(&mut self) {
        if let Some(foreseeing) = &mut self.foreseeing {
            foreseeing.already.clear();
            foreseeing.work = Work::Due;
        }
    }

    /// Prepares the next, if there is one.
    pub(super) fn foresee_on(&mut self) {
        let busy = self.pending.is_some() || self.active_reply().is_some() || self.ear.utterance().is_some();
        let Some(foreseeing) = self.foreseeing.as_mut() else { return };
        foreseeing.work = Work::Nothing;
        if busy {
            return;
        }
        let Some(question) = foreseeing.next() else { return };
        let reply = self.asking().answer(&self.history, question.to_string(), Priority::Batch);
        if let Some(foreseeing) = &mut self.foreseeing {
            foreseeing.make(question, reply);
        }
    }

    /// Somebody speaks, or the conversation is no longer what it was.
    pub(super) fn stop_foreseeing(&mut self) {
        if let Some(foreseeing) = &mut self.foreseeing {
            foreseeing.work = Work::Nothing;
        }
    }

    /// The agent is another from now on.
    pub(super) fn foresee_anew(&mut self) {
        let before = self.foreseeing.take().and_then(|foreseeing| foreseeing.before);
        self.foreseeing = Foreseeing::new(&self.agent, &self.call.identity, &self.config)
            .map(|anew| Foreseeing { before, ..anew });
    }
}
