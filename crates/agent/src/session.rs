//! The pipeline of a call. Each call is one task with one loop, through which a frame of audio passes as follows:
//!
//! 1. [`Session::next`]: the transport delivers audio at 16 kHz, which goes to the ear and to voice activity detection.
//! 2. The probabilities of speech, the transcripts and the answers of the turn detector go into the `Dialog`.
//! 3. The `Dialog` decides what to do ([`Session::obey`]): transcribe, speculate on a reply, start, hold or drop it.
//! 4. A reply streams: language model -> clauses -> speech ([`Reply`]).
//! 5. [`Playback`] sends its audio to the transport at the right time, and knows what was heard.
//!
//! All work in progress is a field of the session; dropping the field cancels the work.

mod active_reply;
mod background_work;
mod begin;
mod commands;
mod ending;
mod prefetch;
mod refusal;
mod silence;
#[cfg(test)]
mod tests;
mod tools;
mod turn;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::call::{Inbound, Outbound, Transport};
use antiphon_core::dialog::{Dialog, EndOfTurn, Input, PauseId, Phase, TurnConfig};
use antiphon_core::session::SessionConfig;
use antiphon_core::{
    BoxFuture, BoxStream, CallEnd, CallStart, Error, Event, HangUpReason, ItemId, MediaTime, Observer,
    Result, Transcript, TurnId, VadStream, VoiceProbability,
};
use futures_util::stream::SelectAll;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::accounted::Accounted;
use crate::clock::MediaClock;
use crate::ear::{Ear, Transcripts};
use crate::echo::Echo;
use crate::history::History;
use crate::keypad::Keypad;
use crate::plan::Plan;
use crate::playback::Playback;
use crate::reply::ReplyPart;
use crate::turn_context::{self, Sources, TurnContext};
use crate::{Agent, Engines};
use active_reply::{ActiveReply, OutOfBandReply};
use background_work::BackgroundWork;
use begin::{PendingReply, SpeculativeReply};
use prefetch::CallPrefetch;
use tools::ToolRun;
use turn::Committed;

/// Most audio that is received but not judged. In a normal call voice activity detection is two windows behind:
/// 64 ms.
const MAX_BEHIND: Duration = Duration::from_millis(250);
/// Most replies outside the conversation that may run at once.
const MAX_OUT_OF_BAND: usize = 4;
/// A goodbye that has not been played by then is cut off, so that a call that should end does end.
const HANGUP_AFTER: Duration = Duration::from_secs(15);

/// A call that is about to begin.
pub struct Call {
    /// The facts about the call.
    pub start: CallStart,
    /// The engines, which all calls share.
    pub engines: Arc<Engines>,
    /// The agent that answers.
    pub agent: Arc<Agent>,
    /// How the agent behaves at first: [`Agent::session`], with what the client asked for when it connected.
    pub config: SessionConfig,
    /// Receives the events of the call.
    pub observer: Arc<dyn Observer>,
}

/// Runs one call until either side ends it, or until `stop` resolves: then the server ends it, and the goodbye may take as long as
/// `stop` says.
pub async fn run_call(
    call: Call,
    transport: Box<dyn Transport>,
    stop: impl Future<Output = Duration>,
) -> CallEnd {
    let start = call.start.clone();
    let mut over = Over { start: start.clone(), observer: call.observer.clone(), end: None };
    let held = async {
        call.observer.call_started(&start);
        let mut session = Session::new(call, transport);
        let ended = tokio::select! {
            end = session.run() => Ok(end),
            within = stop => Err(within),
        };
        let end = match ended {
            Ok(end) => end,
            Err(within) => session.farewell(within).await,
        };
        if !matches!(end, CallEnd::Lost(_)) {
            session.flush_last().await;
        }
        session.stop_prefetch();
        session.background_work.finish().await;
        end
    };
    let end = Accounted::new(start.account.clone(), held).await;
    over.end = Some(end.clone());
    end
}

/// Reports that a call is over, even when its task panics or is dropped. Otherwise whoever counts calls would count
/// it for ever.
struct Over {
    start: CallStart,
    observer: Arc<dyn Observer>,
    end: Option<CallEnd>,
}

impl Drop for Over {
    fn drop(&mut self) {
        let broken = || CallEnd::Lost(Error::internal("the call's task ended before the call did"));
        let end = self.end.take().unwrap_or_else(broken);
        self.observer.call_ended(&self.start, &end);
    }
}

struct Session {
    call: CallStart,
    engines: Arc<Engines>,
    agent: Arc<Agent>,
    config: SessionConfig,
    observer: Arc<dyn Observer>,
    transport: Box<dyn Transport>,
    /// Where the context of a turn is looked up.
    sources: Sources,
    lookup: Arc<Plan<TurnContext>>,
    /// Work after a turn, beside the call.
    background_work: BackgroundWork,
    /// Answers to likely questions, made early. `None` where nothing is predicted.
    prefetch: Option<CallPrefetch>,

    clock: MediaClock,
    dialog: Dialog,
    phase: Phase,
    history: History,

    /// The audio that was received last.
    audio: Vec<i16>,
    ear: Ear,
    /// Voice activity detection; present only when turns are found in the audio.
    vad: Option<Box<dyn VadStream>>,
    voice: BoxStream<'static, VoiceProbability>,
    transcripts: SelectAll<Transcripts>,
    turn_score: Option<BoxFuture<'static, (PauseId, Result<f32>)>>,
    /// Turns that are over but whose words are not known yet.
    committed: Vec<Committed>,

    /// A reply made in a pause, before it is known whether the turn is over. Nobody waits for it yet.
    speculative: Option<SpeculativeReply>,
    /// The conversation's reply that is being made or played.
    reply: Option<ActiveReply>,
    playback: Playback,
    /// Takes the agent's own voice out of what is heard.
    echo: Echo,
    /// Replies outside the conversation.
    out_of_band: Vec<OutOfBandReply>,
    /// A reply that begins as soon as the turn's words are known and the present reply is over.
    pending: Option<PendingReply>,
    /// The keys that the person is pressing.
    keypad: Keypad,
    /// A turn that the person typed and that the dialog has not yet reported as over.
    typed: Option<ItemId>,
    /// When the server ends the call, and why.
    hang_up: Option<(Instant, HangUpReason)>,
    times: turn::Times,
    /// Whether the transport is polled before the replies in the next step.
    inbound_first: bool,
}

/// The event that woke the session.
enum Step {
    Inbound(Option<Inbound>),
    Lost(Error),
    Voice(VoiceProbability),
    Transcript(ItemId, Option<Result<Transcript>>),
    TurnScore(PauseId, Result<f32>),
    SpeculativeReply(Option<Result<ReplyPart>>),
    Reply(Option<Result<ReplyPart>>),
    Filler(Option<Result<ReplyPart>>),
    ToolsRan(Vec<ToolRun>),
    OutOfBandReply(usize, Option<Result<ReplyPart>>),
    PrefetchDue,
    Timer,
}

impl Session {
    fn new(call: Call, transport: Box<dyn Transport>) -> Self {
        let Call { start: call, engines, agent, config, observer } = call;
        let turns = config.listening.turns.clone().unwrap_or_else(manual_turns);
        let playback = Playback::new(transport.output(), config.voice.frame);
        let ear = Ear::new(config.listening.prefix_padding, engines.turn.is_some());
        let sources = Sources::new(&engines, &agent, &call.identity);
        let mut session = Self {
            lookup: turn_context::plan(&sources),
            sources,
            background_work: BackgroundWork::default(),
            prefetch: CallPrefetch::new(&agent, &call.identity, &config),
            call,
            engines,
            agent,
            config,
            observer,
            transport,
            clock: MediaClock::new(Instant::now()),
            dialog: Dialog::new(turns),
            phase: Phase::Listening,
            history: History::default(),
            audio: Vec::with_capacity(4_096),
            ear,
            vad: None,
            voice: futures_util::stream::empty().boxed(),
            transcripts: SelectAll::new(),
            turn_score: None,
            committed: Vec::new(),
            speculative: None,
            reply: None,
            playback,
            echo: Echo::default(),
            out_of_band: Vec::new(),
            pending: None,
            keypad: Keypad::default(),
            typed: None,
            hang_up: None,
            times: turn::Times::default(),
            inbound_first: false,
        };
        session.open_vad();
        session
    }

    async fn run(&mut self) -> CallEnd {
        self.emit(Event::Configured(Box::new(self.config.clone())));
        self.greet();
        self.live().await
    }

    /// Goes on with the call until it ends.
    async fn live(&mut self) -> CallEnd {
        let mut timer = pin!(sleep_until(Instant::now()));
        loop {
            self.settle();
            tokio::task::coop::consume_budget().await;
            match self.next(timer.as_mut()).await {
                Step::Inbound(Some(Inbound::Hangup) | None) => return CallEnd::Caller,
                Step::Lost(error) => return CallEnd::Lost(error),
                Step::Inbound(Some(inbound)) => self.receive(inbound),
                Step::Voice(voice) => self.judge(voice),
                Step::Transcript(item, transcript) => self.understand(&item, transcript),
                Step::TurnScore(pause, score) => self.score(pause, score),
                Step::SpeculativeReply(part) => self.speculate_on(part),
                Step::Reply(part) => self.reply_on(part),
                Step::Filler(part) => self.bridge_on(part),
                Step::ToolsRan(runs) => self.go_on_with(runs),
                Step::OutOfBandReply(at, part) => self.out_of_band_on(at, part),
                Step::PrefetchDue => self.prefetch_next(),
                Step::Timer => {
                    if let Some((at, reason)) = self.hang_up
                        && Instant::now() >= at
                    {
                        return self.hang_up(reason);
                    }
                    self.input(Input::Tick);
                }
            }
        }
    }

    /// Waits for the next event.
    async fn next(&mut self, mut timer: Pin<&mut Sleep>) -> Step {
        let deadline = self.deadline();
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        let (playing, hears) = (self.makes_audio(), self.hears());
        // The order alternates, so that neither side keeps the other waiting however much it has to say.
        self.inbound_first = !self.inbound_first;
        let inbound_first = self.inbound_first;
        let Self {
            transport,
            audio,
            voice,
            transcripts,
            turn_score,
            speculative,
            reply,
            out_of_band,
            background_work,
            prefetch,
            ..
        } = self;
        poll_fn(|cx| {
            background_work.poll(cx);
            if timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Step::Timer);
            }
            if let Poll::Ready(Some(voice)) = voice.poll_next_unpin(cx) {
                return Poll::Ready(Step::Voice(voice));
            }
            if let Poll::Ready(Some((item, transcript))) = transcripts.poll_next_unpin(cx) {
                return Poll::Ready(Step::Transcript(item, transcript));
            }
            if let Some(Poll::Ready((pause, score))) = turn_score.as_mut().map(|f| f.poll_unpin(cx)) {
                *turn_score = None;
                return Poll::Ready(Step::TurnScore(pause, score));
            }
            if let Poll::Ready(Err(error)) = transport.poll_flush(cx) {
                return Poll::Ready(Step::Lost(error));
            }
            if inbound_first
                && hears
                && let Poll::Ready(inbound) = transport.poll_recv(cx, audio)
            {
                return Poll::Ready(Step::Inbound(inbound));
            }
            if let Poll::Ready(step) = poll_replies(cx, playing, reply, speculative, out_of_band) {
                return Poll::Ready(step);
            }
            if !inbound_first
                && hears
                && let Poll::Ready(inbound) = transport.poll_recv(cx, audio)
            {
                return Poll::Ready(Step::Inbound(inbound));
            }
            match prefetch {
                Some(prefetch) => prefetch.poll(cx, background_work.is_done()).map(|()| Step::PrefetchDue),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// When to wake if nothing happens before.
    fn deadline(&self) -> Instant {
        /// Longest sleep of a call in which nothing is due, so that every wait has a bound.
        const AT_LEAST: Duration = Duration::from_hours(1);
        let dialog = self.dialog.wake_at().map(|at| self.clock.wall(at));
        let watchdog = self.watchdog();
        let hang_up = self.hang_up.map(|(at, _)| at);
        let look_up = (!self.hears()).then(|| Instant::now() + MAX_BEHIND);
        [dialog, self.playback.due(), self.reply_ends_at(), self.keypad.due(), hang_up, watchdog, look_up]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + AT_LEAST)
    }

    /// Runs before each wait: does what the dialog asks, sends the audio that is due, and reports the phase.
    fn settle(&mut self) {
        self.take_keys();
        self.obey_dialog();
        self.play();
        self.start_pending();
        // What was just sent or begun may lead the dialog to ask for more.
        self.obey_dialog();
        let phase = self.dialog.phase();
        if phase != self.phase {
            self.phase = phase;
            self.emit(Event::Phase(phase));
        }
    }

    fn obey_dialog(&mut self) {
        while let Some(output) = self.dialog.poll() {
            self.obey(output);
        }
    }

    fn receive(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Audio => self.hear(),
            Inbound::Text(text) => self.typed(text),
            Inbound::Dtmf(key) => self.pressed(key),
            Inbound::Played(reply) => self.played(&reply),
            Inbound::Command(command) => self.carry_out(command),
            Inbound::Hangup => {}
        }
    }

    fn hear(&mut self) {
        let before = self.ear.received();
        self.defer(self.transport.is_ahead());
        if self.config.listening.cancel_echo {
            self.echo.cancel(&mut self.audio, before);
        }
        self.ear.hear(&self.audio);
        if let Some(vad) = &mut self.vad {
            vad.push(&self.audio);
        } else if !self.audio.is_empty() && self.ear.utterance().is_none() {
            self.begin_utterance(before);
        }
        self.audio.clear();
    }

    /// Whether more of the reply's audio may be made.
    fn makes_audio(&self) -> bool {
        self.playback.has_room() && self.transport.has_room()
    }

    /// Whether more audio may be received. Audio that comes faster than real time, such as that of a file, waits at
    /// the transport until the audio before it is judged, so that speech is found while its audio is still kept.
    fn hears(&self) -> bool {
        let now = Instant::now();
        let behind = self.clock.behind(self.ear.received());
        let waits = self.vad.is_some() && behind > MAX_BEHIND && !self.clock.has_stopped(now);
        !waits && self.ear.has_room() && self.keeps_up()
    }

    fn judge(&mut self, voice: VoiceProbability) {
        let at = self.clock.judged(voice.at, Instant::now());
        self.dialog.handle(Input::Voice(voice.probability), at);
    }

    /// Tells the dialog what has happened, with the present time.
    fn input(&mut self, input: Input<'_>) {
        self.dialog.handle(input, self.clock.now(Instant::now()));
    }

    fn emit(&mut self, event: Event) {
        self.observer.event(&self.call.id, &event);
        self.transport.send(Outbound::Event(event));
    }

    /// Applies the turn rules of the configuration, and opens or closes voice activity detection as they need it.
    fn open_vad(&mut self) {
        let turns = self.config.listening.turns.clone();
        if turns.is_none() {
            self.vad = None;
            self.voice = futures_util::stream::empty().boxed();
        } else if self.vad.is_none() {
            let (input, output) = self.engines.vad.open();
            self.vad = Some(input);
            self.voice = output;
        }
        self.dialog.configure(turns.unwrap_or_else(manual_turns));
        self.ear.set_padding(self.config.listening.prefix_padding);
    }

    fn turn(&self) -> TurnId {
        self.dialog.turn()
    }

    /// The position in the received audio that corresponds to a time of the dialog.
    fn received_at(&self, at: MediaTime) -> MediaTime {
        self.clock.received(at)
    }
}

/// The first result that any reply has ready. Parts of replies wait until audio can be played; the answers of tools
/// do not.
fn poll_replies(
    cx: &mut Context<'_>,
    playing: bool,
    reply: &mut Option<ActiveReply>,
    speculative: &mut Option<SpeculativeReply>,
    out_of_band: &mut [OutOfBandReply],
) -> Poll<Step> {
    if let Some(active) = reply
        && let Poll::Ready(runs) = active.calls.poll_answers(cx)
    {
        return Poll::Ready(Step::ToolsRan(runs));
    }
    if !playing {
        return Poll::Pending;
    }
    if let Some(active) = reply
        && let Some(Poll::Ready(part)) = active.filler.as_mut().map(|filler| filler.poll_next_unpin(cx))
    {
        return Poll::Ready(Step::Filler(part));
    }
    if let Some(active) = reply
        && let Poll::Ready(part) = active.poll_part(cx)
    {
        return Poll::Ready(Step::Reply(part));
    }
    if let Some(speculative) = speculative
        && let Poll::Ready(part) = speculative.poll_part(cx)
    {
        return Poll::Ready(Step::SpeculativeReply(part));
    }
    for (at, other) in out_of_band.iter_mut().enumerate() {
        if let Poll::Ready(part) = other.active.poll_part(cx) {
            return Poll::Ready(Step::OutOfBandReply(at, part));
        }
    }
    Poll::Pending
}

/// Turn rules for when only the client ends turns: voice activity is not detected, and replies come only when
/// asked for.
fn manual_turns() -> TurnConfig {
    TurnConfig { end: EndOfTurn::Manual, respond: false, ..TurnConfig::default() }
}
