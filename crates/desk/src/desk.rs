//! The one way that calls of all doors take.

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

/// What every call of a server needs. Clones share it.
#[derive(Clone)]
pub struct Desk {
    /// Who is let in.
    pub keys: Arc<Keys>,
    /// The calls there are, and whether there may be more.
    pub calls: Calls,
    /// Which agent answers.
    pub directory: Arc<dyn Directory>,
    /// The engines that all calls share.
    pub engines: Arc<Engines>,
    /// What watches every call.
    pub observer: Arc<dyn Observer>,
    /// What times the transports.
    pub pipeline: Arc<Pipeline>,
}

/// A place for one call, taken before its door accepts the connection. Dropping it gives the place back.
#[must_use]
pub struct Line(CallGuard);

/// What a door makes of a connection once it knows who answers.
pub struct Connected {
    /// Carries the call.
    pub transport: Box<dyn Transport>,
    /// How the agent behaves at first: [`Agent::session`], with what the client asked for.
    pub config: SessionConfig,
}

impl Connected {
    /// A connection whose client asks for nothing but the agent as it is.
    pub fn to(agent: &Agent, transport: impl Transport + 'static) -> Self {
        Self { transport: Box::new(transport), config: agent.session.clone() }
    }
}

impl Desk {
    /// A desk for one call at this machine, such as `antiphon talk` holds: no key is asked for.
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

    /// Takes a place for a call, if there is one; `transport` is for the log.
    pub fn admit(&self, transport: &'static str) -> Result<Line, Busy> {
        self.calls.admit(transport).map(Line)
    }

    /// On whose behalf a request without a call is made.
    pub fn requester(&self, entrant: &Entrant) -> Requester {
        let tenant = self.directory.tenant(entrant.key.as_ref());
        let address = || entrant.address.map_or(Share::Server, Share::Address);
        Requester { tenant, share: entrant.key.clone().map_or_else(address, Share::Key) }
    }

    /// Finds who answers, fixes who is who, and holds the call to its end. `connect` makes the transport once the agent is
    /// known. Whatever is logged meanwhile carries the call's name.
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
            let transport = Box::new(Timed::new(transport, self.pipeline.clone()));
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

/// Calls that share a key share its account; others have one each.
fn share(key: Option<&KeyId>, call: &CallId) -> Share {
    key.map_or_else(|| Share::Session(call.clone()), |key| Share::Key(key.clone()))
}
