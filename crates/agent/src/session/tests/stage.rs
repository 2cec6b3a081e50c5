//! Scripted engines and a scripted person for tests of whole calls.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::call::{Command, Inbound, Outbound, OutputAudio, Pacing, Transport};
use antiphon_core::dialog::{EndOfTurn, TurnConfig};
use antiphon_core::session::{IdleReply, ListeningConfig, ReplyReuse, Sayings, SessionConfig};
use antiphon_core::*;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::{Agent, Call, Engines, ids, run_call};

const RATE: SampleRate = SampleRate::HZ_8000;
/// How long scripted speech lasts for each letter.
const LETTER: Duration = Duration::from_millis(60);

/// How long the scripted voice takes to say a text.
pub(super) fn spoken(text: &str) -> Duration {
    LETTER * text.len() as u32
}

enum Answer {
    Text(String),
    Deltas(Vec<ChatDelta>),
    Acts(Vec<Act>),
    Fail,
}

/// A step of a model that does not answer as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Wait(Duration),
    Say(String),
    /// More of the arguments of a tool call. The first of them names the tool.
    Call(String),
    Done,
    Fail,
    /// The answer ends as if it were complete, but it was not said that it is.
    End,
    /// Nothing more comes, and no end.
    Hang,
}

/// An answer of these steps. If they leave it open, it ends as it should.
fn act(acts: Vec<Act>) -> BoxStream<'static, Result<ChatDelta>> {
    let done = || ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
    let first = acts.iter().position(|act| matches!(act, Act::Call(_)));
    let steps = acts.into_iter().enumerate();
    stream::unfold(Some(steps), move |acts| async move {
        let mut acts = acts?;
        loop {
            let (at, act) = acts.next().unzip();
            match act {
                Some(Act::Wait(wait)) => sleep(wait).await,
                Some(Act::Call(arguments)) => {
                    let named = |name: &str| (at == first).then(|| name.to_owned());
                    let (id, name) = (named("call_1"), named("note"));
                    return Some((Ok(ChatDelta::ToolCall { index: 0, id, name, arguments }), Some(acts)));
                }
                Some(Act::Say(text)) => return Some((Ok(ChatDelta::Text(text)), Some(acts))),
                Some(Act::Done) | None => return Some((Ok(done()), None)),
                Some(Act::Fail) => return Some((Err(Error::unavailable("the script says so")), None)),
                Some(Act::End) => return None,
                Some(Act::Hang) => std::future::pending().await,
            }
        }
    })
    .boxed()
}

/// How speech recognition behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hearing {
    /// It understands all words.
    Good,
    /// It fails at once.
    Fails,
    /// It ends without any words and without an error.
    Ends,
    /// It answers each flush only after this time.
    Slow(Duration),
    /// It never answers.
    Hangs,
}

/// The state that all scripted engines share.
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<ChatRequest>>,
    speeches: Mutex<Vec<SpeechRequest>>,
    /// The words that the person is saying.
    speech: Mutex<String>,
    /// How utterances were to be transcribed.
    transcribed: Mutex<Vec<SttOptions>>,
    first_token: Duration,
    complete: f32,
    hearing: Hearing,
    /// Whether the voice fails.
    mute: bool,
    /// Cloned into every stream, so that its count tells how many are alive.
    alive: Arc<()>,
}

fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().expect("no test panics while it holds a lock")
}

/// The setup of a test.
pub(super) struct Stage {
    script: Script,
    config: SessionConfig,
    pacing: Pacing,
    recording: Range<Duration>,
    lookups: Lookups,
    person: Option<PersonId>,
    prefetch: Option<Arc<dyn Prefetch>>,
    tools: Option<Arc<dyn Tools>>,
    reuse: ReplyReuse,
}

/// The sources of a turn's context.
#[derive(Default)]
pub(super) struct Lookups {
    pub(super) emotion: Option<Arc<dyn EmotionClassifier>>,
    pub(super) memories: Option<Arc<dyn Memories>>,
    pub(super) knowledge: Option<Arc<dyn Knowledge>>,
}

/// A turn ends after a short silence, whatever was said.
fn short_turns() -> TurnConfig {
    TurnConfig { end: EndOfTurn::Silence(Duration::from_millis(224)), ..TurnConfig::default() }
}

impl Default for Stage {
    fn default() -> Self {
        let script = Script {
            answers: Mutex::default(),
            requests: Mutex::default(),
            speeches: Mutex::default(),
            speech: Mutex::default(),
            transcribed: Mutex::default(),
            first_token: Duration::from_millis(20),
            complete: 0.9,
            hearing: Hearing::Good,
            mute: false,
            alive: Arc::new(()),
        };
        let config = SessionConfig {
            instructions: "You are a test.".to_owned(),
            sayings: Sayings {
                idle: IdleReply::Say(vec!["Hello?".to_owned()]),
                goodbye: "Bye.".to_owned(),
                apology: "Sorry.".to_owned(),
                ..Sayings::default()
            },
            listening: ListeningConfig { turns: Some(short_turns()), ..ListeningConfig::default() },
            ..SessionConfig::default()
        };
        let pacing = Pacing::Server { lead: Duration::from_millis(200) };
        let lookups = Lookups::default();
        Self {
            script,
            config,
            pacing,
            recording: Duration::ZERO..Duration::ZERO,
            lookups,
            person: None,
            prefetch: None,
            tools: None,
            reuse: ReplyReuse::default(),
        }
    }
}

impl Stage {
    pub(super) fn answer(self, text: &str) -> Self {
        lock(&self.script.answers).push_back(Answer::Text(text.to_owned()));
        self
    }

    /// The model behaves like this.
    pub(super) fn acts(self, acts: Vec<Act>) -> Self {
        lock(&self.script.answers).push_back(Answer::Acts(acts));
        self
    }

    /// Makes the voice fail.
    pub(super) fn mute(mut self) -> Self {
        self.script.mute = true;
        self
    }

    pub(super) fn call_tool(self, name: &str, arguments: &str) -> Self {
        self.says_and_calls("", &[(name, arguments)])
    }

    /// The model says something and calls tools in the same completion. `calls` holds their names and arguments.
    pub(super) fn says_and_calls(self, text: &str, calls: &[(&str, &str)]) -> Self {
        let said = (!text.is_empty()).then(|| ChatDelta::Text(text.to_owned()));
        let calls = calls.iter().enumerate().map(|(index, (name, arguments))| ChatDelta::ToolCall {
            index,
            id: Some(format!("call_{}", index + 1)),
            name: Some((*name).to_owned()),
            arguments: (*arguments).to_owned(),
        });
        lock(&self.script.answers).push_back(Answer::Deltas(said.into_iter().chain(calls).collect()));
        self
    }

    /// Sets how speech recognition behaves.
    pub(super) fn hearing(mut self, hearing: Hearing) -> Self {
        self.script.hearing = hearing;
        self
    }

    pub(super) fn fail(self) -> Self {
        lock(&self.script.answers).push_back(Answer::Fail);
        self
    }

    pub(super) fn first_token(mut self, wait: Duration) -> Self {
        self.script.first_token = wait;
        self
    }

    /// Makes the turn detector judge every pause as unfinished.
    pub(super) fn unfinished(mut self) -> Self {
        self.script.complete = 0.1;
        self.config.listening.turns = Some(TurnConfig::default());
        self
    }

    pub(super) fn greeting(mut self, text: &str) -> Self {
        self.config.sayings.greeting = text.to_owned();
        self
    }

    pub(super) fn reprompt(mut self, after: Duration) -> Self {
        self.config.listening.turns = Some(TurnConfig { reprompt: Some(after), ..short_turns() });
        self
    }

    pub(super) fn manual(mut self) -> Self {
        self.config.listening.turns = None;
        self
    }

    pub(super) fn pacing(mut self, pacing: Pacing) -> Self {
        self.pacing = pacing;
        self
    }

    /// The person plays a recording, and is ahead of what can have been spoken during this part of the call.
    pub(super) fn recording(mut self, during: Range<Duration>) -> Self {
        self.recording = during;
        self
    }

    /// Sets the sources of a turn's context. The caller becomes Ada, so that memories have a person.
    pub(super) fn looks_up(self, lookups: Lookups) -> Self {
        Self { lookups, ..self }.called_by("ada")
    }

    pub(super) fn called_by(mut self, person: &str) -> Self {
        self.person = PersonId::parse(person);
        self
    }

    pub(super) fn reusing(mut self, reuse: ReplyReuse) -> Self {
        self.reuse = reuse;
        self
    }

    pub(super) fn prefetches(mut self, prefetch: Arc<dyn Prefetch>) -> Self {
        self.prefetch = Some(prefetch);
        self
    }

    /// Sets the tools that the server runs.
    pub(super) fn tools(mut self, tools: Arc<dyn Tools>) -> Self {
        self.tools = Some(tools);
        self
    }

    pub(super) fn configured(mut self, change: impl FnOnce(&mut SessionConfig)) -> Self {
        change(&mut self.config);
        self
    }

    pub(super) fn streams(&self) -> Streams {
        Streams(self.script.alive.clone())
    }

    pub(super) fn call(self) -> Person {
        self.scene().call()
    }

    /// Prepares everything for the call without beginning it.
    pub(super) fn scene(self) -> Scene {
        let script = Arc::new(self.script);
        let engines = Engines {
            vad: Arc::new(FakeVad),
            turn: Some(script.clone()),
            stt: script.clone(),
            llm: script.clone(),
            tts: script.clone(),
            embed: script.clone(),
            emotion: self.lookups.emotion,
        };
        let agent = Agent {
            session: self.config,
            memories: self.lookups.memories,
            knowledge: self.lookups.knowledge,
            prefetch: self.prefetch,
            tools: self.tools,
            reuse: self.reuse,
        };
        let identity = Identity {
            tenant: TenantId::only(),
            agent: AgentId::only(),
            person: self.person,
            share: Share::Server,
        };
        let (observer, pacing, recording) = (Arc::new(Nobody), self.pacing, self.recording);
        Scene { script, engines, agent, identity, observer, pacing, recording }
    }
}

/// Everything that a call needs, before it begins.
pub(super) struct Scene {
    script: Arc<Script>,
    pub(super) engines: Engines,
    pub(super) agent: Agent,
    pub(super) identity: Identity,
    pub(super) observer: Arc<dyn Observer>,
    pacing: Pacing,
    recording: Range<Duration>,
}

impl Scene {
    pub(super) fn speeches(&self) -> Vec<SpeechRequest> {
        lock(&self.script.speeches).clone()
    }

    pub(super) fn call(self) -> Person {
        let (input, received) = mpsc::unbounded_channel();
        let (sent, output) = mpsc::unbounded_channel();
        let now = Instant::now();
        let ahead = now + self.recording.start..now + self.recording.end;
        let line = Line { received, sent, pacing: self.pacing, ahead };
        let start = CallStart::new(ids::new_call(), self.identity, "test", ids::new_span(None));
        let config = self.agent.session.clone();
        let (engines, agent) = (Arc::new(self.engines), Arc::new(self.agent));
        let call = Call { start, engines, agent, config, observer: self.observer };
        let (stop, stopped) = oneshot::channel();
        let stopped = async move {
            match stopped.await {
                Ok(within) => within,
                Err(_) => std::future::pending().await,
            }
        };
        let call = tokio::spawn(run_call(call, Box::new(line), stopped));
        Person {
            script: self.script,
            input,
            output,
            seen: Vec::new(),
            seen_at: Vec::new(),
            stop: Some(stop),
            call,
        }
    }
}

/// Counts the streams of all engines that are alive.
pub(super) struct Streams(Arc<()>);

impl Streams {
    pub(super) fn alive(&self) -> usize {
        // Two references are not streams: one is held here, one by the script.
        Arc::strong_count(&self.0) - 2
    }
}

/// The scripted person, at the other end of the call.
pub(super) struct Person {
    script: Arc<Script>,
    input: mpsc::UnboundedSender<(Inbound, Vec<i16>)>,
    output: mpsc::UnboundedReceiver<(Instant, Outbound)>,
    seen: Vec<Outbound>,
    /// When each of them was sent.
    seen_at: Vec<Instant>,
    stop: Option<oneshot::Sender<Duration>>,
    call: tokio::task::JoinHandle<CallEnd>,
}

impl Person {
    pub(super) async fn says(&mut self, text: &str, lasting: Duration) {
        text.clone_into(&mut lock(&self.script.speech));
        self.sound(1_000, lasting).await;
    }

    pub(super) async fn silence(&mut self, lasting: Duration) {
        self.sound(0, lasting).await;
    }

    async fn sound(&mut self, level: i16, lasting: Duration) {
        for _ in 0..lasting.as_millis() / FRAME.as_millis() {
            self.send(Inbound::Audio, vec![level; FRAME_SAMPLES]);
            sleep(FRAME).await;
        }
        self.listen();
    }

    pub(super) async fn types(&mut self, text: &str) {
        self.send(Inbound::Text(text.to_owned()), Vec::new());
        self.pause().await;
    }

    /// Presses these keys, one after each `gap`.
    pub(super) async fn presses(&mut self, keys: &str, gap: Duration) {
        for key in keys.chars() {
            self.send(Inbound::Dtmf(key), Vec::new());
            sleep(gap).await;
        }
        self.listen();
    }

    pub(super) async fn asks(&mut self, command: Command) {
        self.send(Inbound::Command(command), Vec::new());
        self.pause().await;
    }

    pub(super) async fn hang_up(&mut self) {
        self.send(Inbound::Hangup, Vec::new());
        (&mut self.call).await.expect("ends cleanly");
    }

    /// Stops the server, which leaves this much time for goodbyes. Returns how long it took until the call was over.
    pub(super) async fn server_stops(&mut self, within: Duration) -> Duration {
        let begun = Instant::now();
        let stop = self.stop.take().expect("it stops once");
        stop.send(within).expect("the call goes on");
        let end = (&mut self.call).await.expect("ends cleanly");
        assert_eq!(end, CallEnd::Server(HangUpReason::Draining));
        self.listen();
        begun.elapsed()
    }

    /// Drops the task of the call.
    pub(super) async fn is_dropped(&mut self) {
        self.call.abort();
        (&mut self.call).await.expect_err("was dropped");
    }

    async fn pause(&mut self) {
        sleep(Duration::from_millis(100)).await;
        self.listen();
    }

    fn send(&self, inbound: Inbound, audio: Vec<i16>) {
        // A call that is over receives nothing, so an error does not matter.
        let _ = self.input.send((inbound, audio));
    }

    fn listen(&mut self) {
        while let Ok((at, outbound)) = self.output.try_recv() {
            self.seen.push(outbound);
            self.seen_at.push(at);
        }
    }

    pub(super) fn events(&self) -> Vec<Event> {
        let event = |o: &Outbound| if let Outbound::Event(e) = o { Some(e.clone()) } else { None };
        self.seen.iter().filter_map(event).collect()
    }

    pub(super) fn replies(&self) -> Vec<String> {
        let text = |e: Event| match e {
            Event::ReplyDone { output, .. } => {
                Some(output.iter().map(ConversationItem::text).collect::<Vec<_>>().join(" "))
            }
            _ => None,
        };
        self.events().into_iter().filter_map(text).collect()
    }

    pub(super) fn refusals(&self) -> Vec<String> {
        let code = |e: Event| match e {
            Event::CommandFailed { code, request_id, .. } => {
                assert_eq!(request_id.as_deref(), Some("c1"));
                Some(code.to_owned())
            }
            _ => None,
        };
        self.events().into_iter().filter_map(code).collect()
    }

    pub(super) fn latencies(&self) -> Vec<TurnLatency> {
        let latency = |e: Event| if let Event::Latency { latency, .. } = e { Some(latency) } else { None };
        self.events().into_iter().filter_map(latency).collect()
    }

    pub(super) fn reply_item(&self) -> ItemId {
        let item = |e: Event| if let Event::OutputDone { item, .. } = e { Some(item.id) } else { None };
        self.events().into_iter().rev().find_map(item).expect("a reply")
    }

    pub(super) fn speeches(&self) -> Vec<SpeechRequest> {
        lock(&self.script.speeches).clone()
    }

    /// How urgent the latest utterance is now.
    pub(super) fn urgency(&self) -> Option<Priority> {
        lock(&self.script.transcribed).last().map(SttOptions::urgency)
    }

    pub(super) fn requests(&self) -> Vec<ChatRequest> {
        lock(&self.script.requests).clone()
    }

    pub(super) fn audio(&self) -> Duration {
        let samples = |o: &Outbound| if let Outbound::Audio { samples, .. } = o { samples.len() } else { 0 };
        RATE.duration_of(self.seen.iter().map(samples).sum())
    }

    /// The longest time in which nothing of a reply was to be heard between its beginning and its end.
    pub(super) fn longest_silence(&self) -> Duration {
        let (mut longest, mut quiet_since, mut owed) = (Duration::ZERO, None, 0_u32);
        for (at, outbound) in self.seen_at.iter().zip(&self.seen) {
            let silence = quiet_since.map_or(Duration::ZERO, |since| at.saturating_duration_since(since));
            match outbound {
                Outbound::Event(Event::ReplyStarted { .. }) => {
                    owed += 1;
                    quiet_since = quiet_since.max(Some(*at));
                }
                Outbound::Event(Event::ReplyDone { .. }) => {
                    longest = longest.max(silence);
                    owed -= 1;
                    if owed == 0 {
                        quiet_since = None;
                    }
                }
                Outbound::Audio { samples, .. } => {
                    longest = longest.max(silence);
                    let from = quiet_since.max(Some(*at));
                    quiet_since = from.map(|from| from + RATE.duration_of(samples.len()));
                }
                _ => {}
            }
        }
        longest
    }

    pub(super) fn cleared(&self) -> usize {
        self.seen.iter().filter(|o| **o == Outbound::Clear).count()
    }

    pub(super) fn hung_up(&self) -> bool {
        self.seen.iter().any(|o| matches!(o, Outbound::Control(CallControl::HangUp(_))))
    }
}

struct Nobody;

impl Observer for Nobody {
    fn call_started(&self, _: &CallStart) {}
    fn event(&self, _: &CallId, _: &Event) {}
    fn call_ended(&self, _: &CallStart, _: &CallEnd) {}

    fn request_ended(&self, _: &'static str, _: RequestOutcome) {}
}

struct Line {
    received: mpsc::UnboundedReceiver<(Inbound, Vec<i16>)>,
    sent: mpsc::UnboundedSender<(Instant, Outbound)>,
    pacing: Pacing,
    ahead: Range<Instant>,
}

impl Transport for Line {
    fn name(&self) -> &'static str {
        "test"
    }

    fn output(&self) -> OutputAudio {
        OutputAudio { rate: RATE, pacing: self.pacing }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, audio: &mut Vec<i16>) -> Poll<Option<Inbound>> {
        self.received.poll_recv(cx).map(|received| {
            received.map(|(inbound, samples)| {
                audio.extend(samples);
                inbound
            })
        })
    }

    fn is_ahead(&self) -> bool {
        self.ahead.contains(&Instant::now())
    }

    fn send(&mut self, outbound: Outbound) {
        let _ = self.sent.send((Instant::now(), outbound));
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Judges everything that is not silent to be speech.
struct FakeVad;

struct FakeVadStream {
    window: Vec<i16>,
    judged: u64,
    output: mpsc::UnboundedSender<VoiceProbability>,
}

impl Vad for FakeVad {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn open(&self) -> (Box<dyn VadStream>, BoxStream<'static, VoiceProbability>) {
        let (output, mut judged) = mpsc::unbounded_channel();
        let stream = FakeVadStream { window: Vec::new(), judged: 0, output };
        (Box::new(stream), stream::poll_fn(move |cx| judged.poll_recv(cx)).boxed())
    }
}

impl VadStream for FakeVadStream {
    fn push(&mut self, samples: &[i16]) {
        const WINDOW: usize = 512;
        self.window.extend_from_slice(samples);
        while self.window.len() >= WINDOW {
            let loud = self.window.drain(..WINDOW).filter(|s| *s != 0).count();
            self.judged += WINDOW as u64;
            let at = MediaTime::from_samples(self.judged, SampleRate::HZ_16000);
            let probability = if loud > WINDOW / 2 { 0.95 } else { 0.01 };
            let _ = self.output.send(VoiceProbability { at, probability });
        }
    }
}

impl TurnDetector for Script {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn complete(&self, _: Arc<[i16]>, _: Priority) -> BoxFuture<'static, Result<f32>> {
        let complete = self.complete;
        async move {
            sleep(Duration::from_millis(30)).await;
            Ok(complete)
        }
        .boxed()
    }
}

impl Stt for Script {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn transcribe(
        &self,
        options: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        lock(&self.transcribed).push(options);
        match self.hearing {
            Hearing::Good | Hearing::Slow(_) => {}
            Hearing::Fails => {
                return stream::once(async { Err(Error::unavailable("the script says so")) }).boxed();
            }
            Hearing::Ends => return stream::empty().boxed(),
            Hearing::Hangs => return stream::pending().boxed(),
        }
        let wait = if let Hearing::Slow(wait) = self.hearing { wait } else { Duration::from_millis(20) };
        let text = lock(&self.speech).clone();
        let alive = self.alive.clone();
        let speech: Arc<Mutex<String>> = Arc::new(Mutex::new(text));
        audio
            .filter_map(move |input| {
                let (speech, alive) = (speech.clone(), alive.clone());
                async move {
                    if !matches!(input, SttInput::Flush) {
                        return None;
                    }
                    sleep(wait).await;
                    drop(alive);
                    let text = lock(&speech).clone();
                    Some(Ok(Transcript { text, flushed: true, ..Transcript::default() }))
                }
            })
            .boxed()
    }
}

impl Llm for Script {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "fake", model: "fake" }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        lock(&self.requests).push(request);
        let answer = lock(&self.answers).pop_front();
        let mut deltas: Vec<Result<ChatDelta>> = match answer {
            Some(Answer::Acts(acts)) => return act(acts),
            Some(Answer::Text(text)) => {
                text.split_inclusive(' ').map(|word| Ok(ChatDelta::Text(word.to_owned()))).collect()
            }
            Some(Answer::Deltas(deltas)) => deltas.into_iter().map(Ok).collect(),
            Some(Answer::Fail) => vec![Err(Error::unavailable("the script says so"))],
            None => vec![Ok(ChatDelta::Text("Nothing more.".to_owned()))],
        };
        if deltas.iter().all(std::result::Result::is_ok) {
            deltas.push(Ok(ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() }));
        }
        let (alive, first_token) = (self.alive.clone(), self.first_token);
        stream::iter(deltas.into_iter().enumerate())
            .then(move |(n, delta)| {
                let alive = alive.clone();
                async move {
                    sleep(if n == 0 { first_token } else { Duration::from_millis(5) }).await;
                    drop(alive);
                    delta
                }
            })
            .boxed()
    }
}

impl Tts for Script {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "fake", voices: &[] }
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let alive = self.alive.clone();
        lock(&self.speeches).push(request.clone());
        if self.mute {
            return stream::once(async { Err(Error::unavailable("the script says so")) }).boxed();
        }
        let samples = vec![500_i16; RATE.samples_in(spoken(&request.text))];
        let chunks: Vec<Vec<i16>> = samples.chunks(800).map(<[i16]>::to_vec).collect();
        stream::iter(chunks)
            .then(move |chunk| {
                let alive = alive.clone();
                async move {
                    sleep(Duration::from_millis(10)).await;
                    drop(alive);
                    Ok(AudioChunk::new(RATE, chunk))
                }
            })
            .boxed()
    }
}

impl Embed for Script {
    fn card(&self) -> EmbedCard<'_> {
        EmbedCard { name: "fake", model: "fake", dimensions: 1 }
    }

    fn embed(&self, texts: Vec<String>, _: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        async move { Ok(texts.iter().map(|_| vec![1.0]).collect()) }.boxed()
    }
}
