//! Prefetching in a call. While nobody speaks and no reply is being made, the replies to the questions that are
//! likely to come next are made and thrown away. A cache below the engines keeps them for the case that they are
//! asked for.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::session::{ReplyReuse, SessionConfig};
use antiphon_core::{
    AgentVersion, AnsweredQuestion, BoxFuture, Identity, PersonId, Prefetch, PrefetchOutcome, Prefetched,
    Priority, ReplyStatus,
};
use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use super::Session;
use crate::Agent;
use crate::drained::{DrainedStream, drain};
use crate::reply::{Question, Reply};

/// Longest time for a prefetch. After that it is not worth the engines' time, because the person has probably spoken.
const WITHIN: Duration = Duration::from_secs(20);

/// The outcome of a prefetch that ends before it has an answer.
const DROPPED: PrefetchOutcome = PrefetchOutcome::Dropped;

/// The prefetching of one call, and its work in progress.
pub(super) struct CallPrefetch {
    prefetcher: Arc<dyn Prefetch>,
    agent: AgentVersion,
    /// The person's last question that was answered.
    before: Option<Arc<str>>,
    /// The questions that have been prefetched since then.
    already: Vec<Arc<str>>,
    work: Work,
}

/// The state of prefetching. Dropping it cancels a prefetch in progress.
enum Work {
    Nothing,
    /// The next prefetch may begin.
    Due,
    Making(BoxFuture<'static, ()>),
}

impl CallPrefetch {
    /// Returns `None` where nothing is predicted, or where no cache would keep the replies.
    pub(super) fn new(agent: &Agent, identity: &Identity, config: &SessionConfig) -> Option<Self> {
        let prefetcher = agent
            .prefetch
            .clone()
            .filter(|_| agent.reuse != ReplyReuse::Never && !config.listening.transcribe_only)?;
        let agent = AgentVersion::new(identity.tenant.clone(), &config.instructions);
        Some(Self { prefetcher, agent, before: None, already: Vec::new(), work: Work::Nothing })
    }

    /// Works on the present prefetch. Ready when the next one may begin. That is not before the background work of
    /// the last turn is over (`others_done`), because it may change what is looked up for the next turn.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, others_done: bool) -> Poll<()> {
        match &mut self.work {
            Work::Due if others_done => Poll::Ready(()),
            Work::Making(work) => work.poll_unpin(cx),
            Work::Nothing | Work::Due => Poll::Pending,
        }
    }

    fn next(&mut self) -> Option<Arc<str>> {
        self.work = Work::Nothing;
        let next = self.prefetcher.next(&self.agent, self.before.as_deref(), &self.already)?;
        self.already.push(next.clone());
        Some(next)
    }

    fn make(&mut self, question: Arc<str>, reply: Reply) {
        let (prefetcher, agent) = (self.prefetcher.clone(), self.agent.clone());
        let after = reply.times().question().map_or(0, |question| question.after);
        let begun = Begun { prefetcher, agent, question, after, since: Instant::now(), outcome: DROPPED };
        self.work = Work::Making(make(reply, begun).boxed());
    }
}

/// A prefetch in progress. It reports its outcome when it is dropped, so that a cancelled one is reported as well.
struct Begun {
    prefetcher: Arc<dyn Prefetch>,
    agent: AgentVersion,
    question: Arc<str>,
    /// A hash of the conversation before the question.
    after: u64,
    since: Instant,
    outcome: PrefetchOutcome,
}

impl Drop for Begun {
    fn drop(&mut self) {
        let Self { question, after, since, outcome, .. } = self;
        let prefetched = Prefetched { question, after: *after, took: since.elapsed(), outcome: *outcome };
        self.prefetcher.finished(&self.agent, &prefetched);
    }
}

async fn make(reply: Reply, mut begun: Begun) {
    begun.outcome = match timeout(WITHIN, drain(reply)).await {
        Ok(Ok(DrainedStream { times, .. })) if times.cache_hit().is_some() => PrefetchOutcome::Found,
        Ok(Ok(DrainedStream { times, clauses, .. })) => {
            PrefetchOutcome::Made { saves: times.made(), clauses }
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a reply could not be prefetched");
            DROPPED
        }
        Err(_) => DROPPED,
    };
}

impl Session {
    /// A reply is over; `begun` says whether some of it was heard. Learns the question that it answered, and begins
    /// to prefetch what is likely to be asked next.
    pub(super) fn answered(&mut self, status: &ReplyStatus, begun: bool) {
        let (Some(prefetch), Some(active)) = (&mut self.prefetch, &self.reply) else { return };
        let completed = *status == ReplyStatus::Completed;
        if !begun || !(completed || *status == ReplyStatus::Interrupted) {
            return;
        }
        if let Some(Question { text, after }) = active.times.question() {
            let person = self.call.identity.person.as_ref();
            let by = person.map_or(self.call.id.as_str(), PersonId::as_str);
            let (before, from_cache) = (prefetch.before.as_deref(), active.times.cache_hit().is_some());
            let question = AnsweredQuestion { by, before, after: *after, text, from_cache };
            prefetch.prefetcher.learn(&prefetch.agent, &question);
            prefetch.before = Some(text.clone());
        }
        if completed && active.then.is_none() {
            self.start_prefetch();
        }
    }

    /// Allows prefetching until somebody speaks.
    pub(super) fn start_prefetch(&mut self) {
        if let Some(prefetch) = &mut self.prefetch {
            prefetch.already.clear();
            prefetch.work = Work::Due;
        }
    }

    /// Begins the next prefetch if the call is idle and a question is likely enough.
    pub(super) fn prefetch_next(&mut self) {
        let busy = self.pending.is_some() || self.active_reply().is_some() || self.ear.utterance().is_some();
        let Some(prefetch) = self.prefetch.as_mut() else { return };
        prefetch.work = Work::Nothing;
        if busy {
            return;
        }
        let Some(question) = prefetch.next() else { return };
        let reply = self.asking().answer(&self.history, question.to_string(), Priority::Batch);
        if let Some(prefetch) = &mut self.prefetch {
            prefetch.make(question, reply);
        }
    }

    /// Cancels the prefetch in progress because somebody speaks or the conversation has changed.
    pub(super) fn stop_prefetch(&mut self) {
        if let Some(prefetch) = &mut self.prefetch {
            prefetch.work = Work::Nothing;
        }
    }

    /// Starts anew after the configuration has changed, because that may change every answer.
    pub(super) fn restart_prefetch(&mut self) {
        let before = self.prefetch.take().and_then(|prefetch| prefetch.before);
        self.prefetch = CallPrefetch::new(&self.agent, &self.call.identity, &self.config)
            .map(|anew| CallPrefetch { before, ..anew });
    }
}
