//! The desk: takes the calls of all doors the same way, from admission to the end of the call.

use std::sync::Arc;

use antiphon_agent::{Agent, Call, Engines, ids, run_call};
use antiphon_core::session::SessionConfig;
use antiphon_core::{
    CallEnd, CallId, CallStart, Caller, Identity, KeyId, Observer, Requester, Result, Share, Transport,
};
use antiphon_telemetry::Pipeline;
use tracing::Instrument;

use crate::admission::{Busy, CallGuard, Calls};
use crate::directory::{Answer, Directory, OneAgent};
use crate::keys::{Entrant, Keys};
use crate::timed::Timed;

/// What every call of a server needs. Clones share the same state.
#[derive(Clone)]
pub struct Desk {
    /// The API keys that are accepted.
    pub keys: Arc<Keys>,
    /// The running calls, and whether another one is admitted.
    pub calls: Calls,
    /// Finds the agent that answers a call.
    pub directory: Arc<dyn Directory>,
    /// The engines that all calls share.
    pub engines: Arc<Engines>,
    /// Receives the events of every call.
    pub observer: Arc<dyn Observer>,
    /// Measures how long the transports take.
    pub pipeline: Arc<Pipeline>,
}

/// A place for one call, taken before its door accepts the connection. Dropping it frees the place.
#[must_use]
pub struct Line(CallGuard);

/// What a door makes of a connection once it knows which agent answers.
pub struct Connected {
    /// What carries the call's audio and events.
    pub transport: Box<dyn Transport>,
    /// How the agent behaves at first: [`Agent::session`], with what the client asked for.
    pub config: SessionConfig,
}

impl Connected {
    /// A connection whose client changes nothing about the agent.
    pub fn to(agent: &Agent, transport: impl Transport + 'static) -> Self {
        Self { transport: Box::new(transport), config: agent.session.clone() }
    }
}

impl Desk {
    /// A desk for one call on this machine, as in `antiphon talk`: no key is required.
    pub fn local(engines: Engines, agent: Agent, observer: Arc<dyn Observer>) -> Self {
        Self {
            keys: Arc::default(),
            calls: Calls::new(1),
            directory: Arc::new(OneAgent::new(Arc::new(agent))),
            engines: Arc::new(engines),
            observer,
            pipeline: Arc::default(),
        }
    }

    /// Takes a place for a call, or says why there is none. `transport` is for the log, and `share` is who holds the place;
    /// `None` for whoever calls on behalf of many people, such as a telephone company.
    pub fn admit(&self, transport: &'static str, share: Option<Share>) -> Result<Line, Busy> {
        self.calls.admit(transport, share).map(Line)
    }

    /// On whose behalf a request without a call is made.
    pub fn requester(&self, entrant: &Entrant) -> Requester {
        let tenant = self.directory.tenant(entrant.key.as_ref());
        let address = || entrant.address.map_or(Share::Server, Share::Address);
        let share = entrant.key.clone().map_or_else(address, Share::Key);
        Requester { tenant, share, is_for_person: false }
    }

    /// Finds the agent that answers, fixes the call's identity, and runs the call to its end. `connect` makes the
    /// transport once the agent is known. All that is logged meanwhile carries the call's id.
    pub async fn take(
        &self,
        line: Line,
        caller: Caller,
        connect: impl FnOnce(&Agent) -> Connected,
    ) -> Result<CallEnd> {
        let answer = self.directory.answer(&caller).await.inspect_err(|error| {
            tracing::warn!(transport = caller.transport, %error, "nobody answers");
        })?;
        let agent = answer.agent.clone();
        let Connected { transport, config } = connect(&agent);
        let start = call_start(caller, answer);
        let trace_id = format!("{:032x}", start.trace.trace_id);
        let (call_id, transport_name) = (start.id.clone(), start.transport);
        let span = tracing::info_span!("call", %call_id, transport = transport_name, trace_id);
        let call =
            Call { start, engines: self.engines.clone(), agent, config, observer: self.observer.clone() };
        let held = async {
            tracing::info!("call begun");
            let transport = Box::new(Timed::new(transport, self.pipeline.clone(), line.0.recordings()));
            let end = run_call(call, transport, line.0.ending()).await;
            tracing::info!(outcome = end.outcome().label(), reason = end.reason(), "call over");
            end
        };
        Ok(held.instrument(span).await)
    }
}

/// The facts about a call that begins.
fn call_start(caller: Caller, answer: Answer) -> CallStart {
    let id = ids::new_call();
    let Caller { transport, from, to, key, trace: parent, .. } = caller;
    let Answer { tenant, agent_id: agent, person, .. } = answer;
    let identity = Identity { tenant, agent, person, share: share(key.as_ref(), &id) };
    let trace = ids::new_span(parent);
    CallStart { from, to, key_id: key, parent, ..CallStart::new(id, identity, transport, trace) }
}

/// Where work is queued, calls with the same key count as one client; a call without a key counts on its own.
fn share(key: Option<&KeyId>, call: &CallId) -> Share {
    key.map_or_else(|| Share::Session(call.clone()), |key| Share::Key(key.clone()))
}
