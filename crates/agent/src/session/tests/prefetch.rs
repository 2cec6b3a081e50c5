//! Tests of prefetching between turns, in whole calls.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_core::call::CommandKind;
use antiphon_core::{
    AgentVersion, AnsweredQuestion, ChatRequest, Prefetch, PrefetchOutcome, Prefetched, Priority,
    SpeechRequest,
};
use tokio::time::Instant;

use super::stage::Stage;
use super::turn_context::{Scripted, lookups};
use super::{command, ms};

/// Predicts the same questions after every question, for the agents of one tenant.
struct Expecting {
    tenant: &'static str,
    likely: Vec<Arc<str>>,
    told: Mutex<Vec<Told>>,
    /// The texts that were prefetched or said, each with the hash of the conversation before it.
    points: Mutex<Vec<(String, u64)>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Told {
    Learned { by: String, before: Option<String>, said: String },
    Given(Option<String>, String),
    Finished(String, PrefetchOutcome),
}

fn expecting(likely: &[&str]) -> Arc<Expecting> {
    let likely = likely.iter().map(|&text| text.into()).collect();
    Arc::new(Expecting { tenant: "default", likely, told: Mutex::default(), points: Mutex::default() })
}

impl Expecting {
    fn tell(&self, told: Told) {
        self.told.lock().expect("no test panics while it holds a lock").push(told);
    }

    fn point(&self, text: &str, after: u64) {
        self.points.lock().expect("no test panics while it holds a lock").push((text.to_owned(), after));
    }

    fn told(&self) -> Vec<Told> {
        self.told.lock().expect("no test panics while it holds a lock").clone()
    }

    fn outcomes(&self) -> Vec<PrefetchOutcome> {
        let outcome = |told| if let Told::Finished(_, outcome) = told { Some(outcome) } else { None };
        self.told().into_iter().filter_map(outcome).collect()
    }

    /// The questions that were learned: by whom, after which question, and the question itself.
    fn learned(&self) -> Vec<(String, Option<String>, String)> {
        let learned = |told| match told {
            Told::Learned { by, before, said } => Some((by, before, said)),
            _ => None,
        };
        self.told().into_iter().filter_map(learned).collect()
    }
}

impl Prefetch for Expecting {
    fn learn(&self, _: &AgentVersion, question: &AnsweredQuestion<'_>) {
        let AnsweredQuestion { by, before, after, text, .. } = *question;
        self.point(text, after);
        self.tell(Told::Learned { by: by.into(), before: before.map(Into::into), said: text.into() });
    }

    fn next(&self, agent: &AgentVersion, before: Option<&str>, already: &[Arc<str>]) -> Option<Arc<str>> {
        let next = self
            .likely
            .iter()
            .find(|text| !already.contains(text) && agent.tenant().as_str() == self.tenant)?;
        self.tell(Told::Given(before.map(Into::into), next.to_string()));
        Some(next.clone())
    }

    fn finished(&self, _: &AgentVersion, prefetched: &Prefetched<'_>) {
        self.point(prefetched.question, prefetched.after);
        self.tell(Told::Finished(prefetched.question.into(), prefetched.outcome));
    }
}

/// The same request at the lowest priority, to compare requests whatever their priority.
fn at_leisure(request: &ChatRequest) -> ChatRequest {
    ChatRequest { priority: Priority::Batch, ..request.clone() }
}

fn unhurried(request: &SpeechRequest) -> SpeechRequest {
    SpeechRequest { priority: Priority::Batch, ..request.clone() }
}

#[tokio::test(start_paused = true)]
async fn the_likely_question_is_prefetched_exactly_as_it_will_be_asked() {
    let next = "and what will that cost me";
    let cost = "It costs two pounds. Is that fine?";
    let prefetch = expecting(&[next]);
    let stage = Stage::default().prefetches(prefetch.clone()).looks_up(lookups(&Arc::<Scripted>::default()));
    let mut call =
        stage.greeting("Welcome.").answer("Never asked.").answer("Here.").answer(cost).answer(cost).call();
    call.silence(ms(3_000)).await;
    call.says("where do I park my car", ms(1_000)).await;
    call.silence(ms(5_000)).await;
    let early = call.requests().pop().expect("prefetched");
    assert_eq!(early.priority, Priority::Batch);
    assert_eq!(early.messages.last().map(|message| message.content.as_str()), Some(next));
    call.says(next, ms(1_000)).await;
    call.silence(ms(5_000)).await;
    let real: Vec<ChatRequest> = call.requests();
    let real = real.iter().rfind(|request| request.priority != Priority::Batch).expect("asked");
    assert_eq!(at_leisure(real), early, "with all that was looked up");
    assert!(early.reuse.as_ref().is_some_and(|reuse| reuse.person.is_some() && reuse.looked_up.is_some()));
    let (early, real): (Vec<_>, Vec<_>) =
        call.speeches().into_iter().filter(|said| cost.contains(&said.text)).partition(is_early);
    assert_eq!(early, real.iter().map(unhurried).collect::<Vec<_>>());
    assert_eq!(early.len(), 2);
    let points = prefetch.points.lock().expect("free").clone();
    let [_, parked, (_, before), (said, after), (_, later)] = &points[..] else { panic!("{points:?}") };
    assert_eq!((said.as_str(), parked.0.as_str()), (next, "where do I park my car"));
    assert!(before == after && after != later, "prefetched at the point at which it was said");
}

fn is_early(said: &SpeechRequest) -> bool {
    said.priority == Priority::Batch
}

#[tokio::test(start_paused = true)]
async fn one_is_prefetched_after_the_other() {
    let prefetch = expecting(&["how much is it", "when is it"]);
    let mut call =
        Stage::default().prefetches(prefetch.clone()).greeting("Welcome.").answer("It is two.").call();
    call.silence(ms(4_000)).await;
    let told = prefetch.told();
    let all: Vec<(&str, bool)> = told
        .iter()
        .map(|told| match told {
            Told::Given(_, text) => (text.as_str(), false),
            Told::Finished(text, PrefetchOutcome::Made { clauses: 1, saves }) if *saves > ms(20) => {
                (text.as_str(), true)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let [much, when] = ["how much is it", "when is it"];
    assert_eq!(all, [(much, false), (much, true), (when, false), (when, true)]);
    assert!(call.requests().iter().all(|request| request.priority == Priority::Batch));
    assert_eq!(call.replies(), ["Welcome."], "nobody hears of it");
}

#[tokio::test(start_paused = true)]
async fn a_silent_beginning_is_used_as_well() {
    let prefetch = expecting(&["how much is it"]);
    let mut call = Stage::default().prefetches(prefetch.clone()).call();
    call.silence(ms(1_000)).await;
    assert_eq!(prefetch.told().first(), Some(&Told::Given(None, "how much is it".to_owned())));
    assert_eq!(call.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn speech_ends_a_prefetch() {
    let prefetch = expecting(&["how much is it", "when is it"]);
    let stage = Stage::default().prefetches(prefetch.clone()).greeting("Welcome.").first_token(ms(3_000));
    let streams = stage.streams();
    let mut call = stage.call();
    call.silence(ms(2_000)).await;
    assert_eq!((call.requests().len(), prefetch.outcomes().len()), (1, 0), "under way");
    call.says("hello", ms(400)).await;
    assert_eq!(prefetch.outcomes(), [PrefetchOutcome::Dropped]);
    assert_eq!(streams.alive(), 1, "only speech recognition is at work");
    call.silence(ms(500)).await;
    assert!(call.requests()[1..].iter().all(|request| request.priority != Priority::Batch));
}

#[tokio::test(start_paused = true)]
async fn typing_and_commands_end_it_as_well() {
    for typed in [true, false] {
        let prefetch = expecting(&["how much is it"]);
        let stage = Stage::default().prefetches(prefetch.clone()).greeting("Hi.").first_token(ms(3_000));
        let mut call = stage.call();
        call.silence(ms(2_000)).await;
        if typed {
            call.types("hello").await;
        } else {
            call.asks(command(CommandKind::Reply(Box::default()))).await;
        }
        assert_eq!(prefetch.outcomes(), [PrefetchOutcome::Dropped]);
        assert_eq!(call.requests().last().map(|request| request.priority), Some(Priority::LiveTurn));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_waits_for_no_prefetch() {
    let prefetch = expecting(&["how much is it"]);
    let stage = Stage::default()
        .prefetches(prefetch.clone())
        .greeting("Welcome.")
        .first_token(Duration::from_secs(10));
    let streams = stage.streams();
    let mut call = stage.call();
    call.silence(ms(2_000)).await;
    let hung_up = Instant::now();
    call.hang_up().await;
    assert!(hung_up.elapsed() < ms(10), "{:?}", hung_up.elapsed());
    assert_eq!((prefetch.outcomes(), streams.alive()), (vec![PrefetchOutcome::Dropped], 0));
}

#[tokio::test(start_paused = true)]
async fn a_prefetch_that_fails_or_hangs_is_given_up() {
    let prefetch = expecting(&["how much is it"]);
    let mut call = Stage::default().prefetches(prefetch.clone()).fail().call();
    call.silence(ms(1_000)).await;
    assert_eq!(prefetch.outcomes(), [PrefetchOutcome::Dropped]);
    assert_eq!(call.replies(), Vec::<String>::new(), "nobody is told");
    let prefetch = expecting(&["how much is it"]);
    let stage = Stage::default().prefetches(prefetch.clone()).first_token(Duration::from_hours(1));
    let mut call = stage.call();
    call.silence(Duration::from_secs(30)).await;
    assert_eq!(prefetch.outcomes(), [PrefetchOutcome::Dropped]);
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_is_learned_with_what_came_before() {
    let prefetch = expecting(&[]);
    let long = "One two three four five six seven eight nine ten eleven twelve. And so it goes on for long.";
    let stage = Stage::default().prefetches(prefetch.clone()).answer("Here.").answer(long).fail().fail();
    let mut call = stage.called_by("ada").call();
    call.says("where do I park", ms(800)).await;
    call.silence(ms(3_000)).await;
    call.says("how much is it", ms(800)).await;
    call.silence(ms(1_500)).await;
    call.says("stop stop", ms(1_000)).await;
    call.silence(ms(4_000)).await;
    assert_eq!(call.replies().last().map(String::as_str), Some("Sorry."));
    let learned =
        |before: Option<&str>, said: &str| ("ada".to_owned(), before.map(str::to_owned), said.to_owned());
    let expected = [learned(None, "where do I park"), learned(Some("where do I park"), "how much is it")];
    assert_eq!(prefetch.learned(), expected, "what failed was not answered");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_person_is_known_by_the_call() {
    let prefetch = expecting(&[]);
    for _ in 0..2 {
        let mut call = Stage::default().prefetches(prefetch.clone()).answer("Here.").call();
        call.says("where do I park", ms(800)).await;
        call.silence(ms(3_000)).await;
    }
    let learned = prefetch.learned();
    assert_eq!(learned.len(), 2);
    assert_ne!(learned[0].0, learned[1].0);
}

#[tokio::test(start_paused = true)]
async fn another_tenants_agent_is_offered_nothing() {
    for (tenant, asked) in [("default", 1), ("other", 0)] {
        let prefetch = expecting(&["how much is it"]);
        let mut scene = Stage::default().prefetches(prefetch.clone()).scene();
        scene.identity.tenant = tenant.into();
        let mut call = scene.call();
        call.silence(ms(1_000)).await;
        assert_eq!(call.requests().len(), asked);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_prefetched_where_replies_may_not_be_used_again() {
    let prefetch = expecting(&["how much is it"]);
    let stage =
        Stage::default().prefetches(prefetch.clone()).reusing(antiphon_core::session::ReplyReuse::Never);
    let mut call = stage.greeting("Welcome.").answer("Here.").call();
    call.silence(ms(2_000)).await;
    call.says("where do I park", ms(800)).await;
    call.silence(ms(3_000)).await;
    assert_eq!(prefetch.told(), []);
}
