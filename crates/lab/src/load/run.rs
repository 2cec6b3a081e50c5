//! Runs a load test: follows the plan, begins and ends calls, and closes the windows.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_tungstenite::tungstenite::handshake::client::Request;

use super::caller::{Setup, call_until};
use super::line::{CONNECT_LIMIT, Line, public_url, request};
use super::plan::{Kind, Phase, PhaseKind, Plan};
use super::report::{Figures, Level, Report, Window};
use super::speech::Speech;
use super::tally::{Failure, Reading, Tally};
use super::usage::ServerUsage;
use super::{LoadError, Target};

/// How often calls are begun and ended.
const STEP: Duration = Duration::from_millis(20);

/// Runs the test that `plan` describes. `sample` is called once in each window for what the server uses and must not block;
/// `progress` gets each window as it ends. When the returned future is dropped, all calls end.
///
/// A runtime with one thread is enough for thousands of calls. The CPU time that is reported of the load generator is that of its
/// whole process.
///
/// # Errors
/// When the plan or the speech cannot be used, or when nothing answers at the target. Failures of the server during the test are
/// counted and are no error.
pub async fn run(
    target: Target,
    plan: Plan,
    speech: Arc<Speech>,
    sample: impl Fn() -> Option<ServerUsage>,
    progress: impl FnMut(&Window),
) -> Result<Report, LoadError> {
    plan.check()?;
    let request = request(&target)?;
    let period = Duration::from_secs_f64(plan.period_s);
    if speech.mean() >= period {
        return Err(LoadError::TooOften { period, speech: speech.mean() });
    }
    if request.uri().scheme_str() == Some("wss") {
        // It fails when a provider is installed already, and then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    answers(&target, &request).await?;
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let setup = Setup {
        request,
        script: Arc::new(speech.script(target.protocol)),
        tally: Arc::default(),
        start: Instant::now(),
        period,
        interruptions: plan.interruptions,
        seed: plan.seed,
        target,
    };
    let first = setup.tally.read(sample());
    let mut test = Test {
        setup: Arc::new(setup),
        plan: &plan,
        sample,
        progress,
        calls: Vec::new(),
        tasks: JoinSet::new(),
        dialled: 0,
        last: first.clone(),
        windows: Vec::new(),
    };
    let (levels, recovery_s) = test.follow(&first).await;
    let Test { setup, last, windows, .. } = test;
    let capacity = levels.iter().take_while(|level| !level.broken).map(|level| level.calls).max();
    let totals = last.since(&first, first.server(), 0);
    Ok(Report {
        kind: plan.kind,
        speech_share_wanted: speech.mean().as_secs_f64() / plan.period_s,
        target: public_url(&setup.target.url),
        protocol: setup.target.protocol,
        started_unix_s: started,
        machine: String::new(),
        commit: String::new(),
        totals,
        capacity,
        breaking_point: levels.iter().find(|level| level.broken).map(|level| level.calls),
        levels,
        recovery_s,
        first_failure: setup.tally.first_failure().map(ToOwned::to_owned),
        windows,
        plan,
    })
}

/// Fails if nothing answers at the target, because an hour against nothing would be lost.
/// A busy or slow server counts as an answer.
async fn answers(target: &Target, request: &Request) -> Result<(), LoadError> {
    match Line::open(target, request.clone(), 0).await {
        Err(Failure::Connect(reason)) => {
            let reason = format!("{reason}: is the server running? `antiphon serve` starts it");
            Err(LoadError::Target { url: public_url(&target.url), reason })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

struct Test<'a, S, P> {
    setup: Arc<Setup>,
    plan: &'a Plan,
    sample: S,
    progress: P,
    /// One sender for each call; the call ends when it is dropped.
    calls: Vec<watch::Sender<()>>,
    tasks: JoinSet<()>,
    /// Calls begun so far.
    dialled: u64,
    /// The reading at the end of the latest window.
    last: Reading,
    windows: Vec<Window>,
}

impl<S: Fn() -> Option<ServerUsage>, P: FnMut(&Window)> Test<'_, S, P> {
    /// Follows all phases. Returns the levels, and how many seconds the server needed to recover.
    async fn follow(&mut self, first: &Reading) -> (Vec<Level>, Option<f64>) {
        let idle = first.server();
        let (mut levels, mut recovery_s): (Vec<Level>, _) = (Vec::new(), None);
        for (n, phase) in self.plan.phases.iter().enumerate() {
            let broken = levels.iter().any(|level| level.broken);
            if broken && self.plan.kind == Kind::Stress && phase.kind != PhaseKind::Recovery {
                continue;
            }
            let before = self.last.clone();
            let recovered = self.follow_phase(n, phase, idle).await;
            if phase.kind == PhaseKind::Recovery && broken {
                recovery_s = recovered.then(|| (self.last.at() - before.at()).as_secs_f64());
            }
            // The server's memory counts while all calls are up; after the last phase there are none.
            let server = self.last.since(&before, idle, self.setup.tally.calls_up()).server;
            if n + 1 == self.plan.phases.len() {
                self.drain(n, idle).await;
            }
            if phase.kind == PhaseKind::Level {
                let figures = Figures { server, ..self.last.since(&before, idle, 0) };
                levels.push(Level { calls: phase.to, broken: !figures.are_good(self.plan), figures });
            }
        }
        (levels, recovery_s)
    }

    /// Follows one phase. Returns whether it ended early because the server keeps up again.
    async fn follow_phase(&mut self, n: usize, phase: &Phase, idle: Option<ServerUsage>) -> bool {
        if phase.duration().is_zero() {
            return false;
        }
        let begin = Instant::now();
        let end = begin + phase.duration();
        let mut window_end = self.window_end(end);
        let mut now = begin;
        loop {
            self.hold(phase.calls_at(now - begin));
            sleep_until(window_end.min(now + STEP)).await;
            now = Instant::now();
            if now < window_end {
                continue;
            }
            self.hold(phase.calls_at(now - begin));
            self.end_window(n, idle);
            let well = self.windows.last().is_some_and(|window| window.figures.are_good(self.plan));
            if phase.kind == PhaseKind::Recovery && well {
                return true;
            }
            if now >= end {
                return false;
            }
            window_end = self.window_end(end);
        }
    }

    /// Ends all calls, and waits for the replies that are still outstanding. A question and the wait for its reply take a period each
    /// at most.
    async fn drain(&mut self, n: usize, idle: Option<ServerUsage>) {
        self.calls.clear();
        let end = Instant::now() + self.setup.period * 2 + CONNECT_LIMIT;
        loop {
            let window_end = self.window_end(end);
            let tasks = &mut self.tasks;
            let drained = timeout_at(window_end, async { while tasks.join_next().await.is_some() {} }).await;
            self.end_window(n, idle);
            if drained.is_ok() || Instant::now() >= end {
                break;
            }
        }
        self.tasks.shutdown().await;
    }

    fn window_end(&self, limit: Instant) -> Instant {
        limit.min(Instant::now() + Duration::from_secs_f64(self.plan.window_s))
    }

    /// Begins or ends calls until there are `wanted`.
    fn hold(&mut self, wanted: usize) {
        self.calls.truncate(wanted);
        while self.calls.len() < wanted {
            let (call, stop) = watch::channel(());
            self.tasks.spawn(call_until(self.setup.clone(), self.dialled, stop));
            self.calls.push(call);
            self.dialled += 1;
        }
        while self.tasks.try_join_next().is_some() {}
    }

    fn end_window(&mut self, phase: usize, idle: Option<ServerUsage>) {
        let tally: &Tally = &self.setup.tally;
        let reading = tally.read((self.sample)());
        let calls_up = tally.calls_up();
        let window = Window {
            time_s: (reading.at() - self.setup.start).as_secs_f64(),
            phase,
            calls_wanted: self.calls.len(),
            calls_up,
            figures: reading.since(&self.last, idle, calls_up),
        };
        (self.progress)(&window);
        self.windows.push(window);
        self.last = reading;
    }
}
