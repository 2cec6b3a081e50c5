//! What is prepared between turns, in whole calls.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_core::call::CommandKind;
use antiphon_core::{
    AgentVersion, ChatRequest, Foresight, Preparation, PreparationOutcome, Priority, Said, SpeechRequest,
};
use tokio::time::Instant;

use super::stage::Stage;
use super::turn_context::{Scripted, lookups};
use super::{command, ms};

/// Expects the same after everything, of the agents of one tenant.
struct Expecting {
    tenant: &'static str,
    likely: Vec<Arc<str>>,
    told: Mutex<Vec<Told>>,
    /// What was prepared or said after which conversation.
    points: Mutex<Vec<(String, u64)>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Told {
    Learned { by: String, before: Option<String>, said: String },
    Given(Option<String>, String),
    Prepared(String, PreparationOutcome),
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

    fn outcomes(&self) -> Vec<PreparationOutcome> {
        let outcome = |told| if let Told::Prepared(_, outcome) = told { Some(outcome) } else { None };
        self.told().into_iter().filter_map(outcome).collect()
    }

    /// Who said what after what.
    fn learned(&self) -> Vec<(String, Option<String>, String)> {
        let learned = |told| match told {
            Told::Learned { by, before, said } => Some((by, before, said)),
            _ => None,
        };
        self.told().into_iter().filter_map(learned).collect()
    }
}

impl Foresight for Expecting {
    fn learn(&self, _: &AgentVersion, said: &Said<'_>) {
        let Said { by, before, after, text, .. } = *said;
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

    fn prepared(&self, _: &AgentVersion, preparation: &Preparation<'_>) {
        self.point(preparation.question, preparation.after);
        self.tell(Told::Prepared(preparation.question.into(), preparation.outcome));
    }
}

/// But for the urgency.
fn at_leisure(request: &ChatRequest) -> ChatRequest {
    ChatRequest { priority: Priority::Batch, ..request.clone() }
}

fn unhurried(request: &SpeechRequest) -> SpeechRequest {
    SpeechRequest { priority: Priority::Batch, ..request.clone() }
}

#[tokio::test(start_paused = true)]
async fn the_likely_question_is_asked_ahead_exactly_as_it_will_be() {
    let next = "and what will that cost me";
    let cost = "It costs two pounds. Is that fine?";
    let foresight = expecting(&[next]);
    let stage = Stage::default().foresees(foresight.clone()).looks_up(lookups(&Arc::<Scripted>::default()));
    let mut call =
        stage.greeting("Welcome.").answer("Never asked.").answer("Here.").answer(cost).answer(cost).call();
    call.silence(ms(3_000)).await;
    call.says("where do I park my car", ms(1_000)).await;
    call.silence(ms(5_000)).await;
    let ahead = call.requests().pop().expect("asked ahead");
    assert_eq!(ahead.priority, Priority::Batch);
    assert_eq!(ahead.messages.last().map(|message| message.content.as_str()), Some(next));
    call.says(next, ms(1_000)).await;
    call.silence(ms(5_000)).await;
    let real: Vec<ChatRequest> = call.requests();
    let real = real.iter().rfind(|request| request.priority != Priority::Batch).expect("asked");
    assert_eq!(at_leisure(real), ahead, "with all that was looked up");
    assert!(ahead.reuse.as_ref().is_some_and(|reuse| reuse.person.is_some() && reuse.looked_up.is_some()));
    let (ahead, real): (Vec<_>, Vec<_>) =
        call.speeches().into_iter().filter(|said| cost.contains(&said.text)).partition(is_ahead);
    assert_eq!(ahead, real.iter().map(unhurried).collect::<Vec<_>>());
    assert_eq!(ahead.len(), 2);
    let points = foresight.points.lock().expect("free").clone();
    let [_, parked, (_, before), (said, after), (_, later)] = &points[..] else { panic!("{points:?}") };
    assert_eq!((said.as_str(), parked.0.as_str()), (next, "where do I park my car"));
    assert!(before == after && after != later, "prepared at the point at which it was said");
}

fn is_ahead(said: &SpeechRequest) -> bool {
    said.priority == Priority::Batch
}

#[tokio::test(start_paused = true)]
async fn one_is_prepared_after_the_other() {
    let foresight = expecting(&["how much is it", "when is it"]);
    let mut call =
        Stage::default().foresees(foresight.clone()).greeting("Welcome.").answer("It is two.").call();
    call.silence(ms(4_000)).await;
    let told = foresight.told();
    let all: Vec<(&str, bool)> = told
        .iter()
        .map(|told| match told {
            Told::Given(_, text) => (text.as_str(), false),
            Told::Prepared(text, PreparationOutcome::Made { clauses: 1, saves }) if *saves > ms(20) => {
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
    let foresight = expecting(&["how much is it"]);
    let mut call = Stage::default().foresees(foresight.clone()).call();
    call.silence(ms(1_000)).await;
    assert_eq!(foresight.told().first(), Some(&Told::Given(None, "how much is it".to_owned())));
    assert_eq!(call.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn speech_ends_what_is_prepared() {
    let foresight = expecting(&["how much is it", "when is it"]);
    let stage = Stage::default().foresees(foresight.clone()).greeting("Welcome.").first_token(ms(3_000));
    let streams = stage.streams();
    let mut call = stage.call();
    call.silence(ms(2_000)).await;
    assert_eq!((call.requests().len(), foresight.outcomes().len()), (1, 0), "under way");
    call.says("hello", ms(400)).await;
    assert_eq!(foresight.outcomes(), [PreparationOutcome::Dropped]);
    assert_eq!(streams.alive(), 1, "only speech recognition is at work");
    call.silence(ms(500)).await;
    assert!(call.requests()[1..].iter().all(|request| request.priority != Priority::Batch));
}

#[tokio::test(start_paused = true)]
async fn typing_and_commands_end_it_as_well() {
    for typed in [true, false] {
        let foresight = expecting(&["how much is it"]);
        let stage = Stage::default().foresees(foresight.clone()).greeting("Hi.").first_token(ms(3_000));
        let mut call = stage.call();
        call.silence(ms(2_000)).await;
        if typed {
            call.types("hello").await;
        } else {
            call.asks(command(CommandKind::Reply(Box::default()))).await;
        }
        assert_eq!(foresight.outcomes(), [PreparationOutcome::Dropped]);
        assert_eq!(call.requests().last().map(|request| request.priority), Some(Priority::LiveTurn));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_waits_for_no_preparation() {
    let foresight = expecting(&["how much is it"]);
    let stage = Stage::default()
        .foresees(foresight.clone())
        .greeting("Welcome.")
        .first_token(Duration::from_secs(10));
    let streams = stage.streams();
    let mut call = stage.call();
    call.silence(ms(2_000)).await;
    let hung_up = Instant::now();
    call.hang_up().await;
    assert!(hung_up.elapsed() < ms(10), "{:?}", hung_up.elapsed());
    assert_eq!((foresight.outcomes(), streams.alive()), (vec![PreparationOutcome::Dropped], 0));
}

#[tokio::test(start_paused = true)]
async fn a_preparation_that_fails_or_hangs_is_given_up() {
    let foresight = expecting(&["how much is it"]);
    let mut call = Stage::default().foresees(foresight.clone()).fail().call();
    call.silence(ms(1_000)).await;
    assert_eq!(foresight.outcomes(), [PreparationOutcome::Dropped]);
    assert_eq!(call.replies(), Vec::<String>::new(), "nobody is told");
    let foresight = expecting(&["how much is it"]);
    let stage = Stage::default().foresees(foresight.clone()).first_token(Duration::from_hours(1));
    let mut call = stage.call();
    call.silence(Duration::from_secs(30)).await;
    assert_eq!(foresight.outcomes(), [PreparationOutcome::Dropped]);
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_is_learned_with_what_came_before() {
    let foresight = expecting(&[]);
    let long = "One two three four five six seven eight nine ten eleven twelve. And so it goes on for long.";
    let stage = Stage::default().foresees(foresight.clone()).answer("Here.").answer(long).fail().fail();
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
    assert_eq!(foresight.learned(), expected, "what failed was not answered");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_person_is_known_by_the_call() {
    let foresight = expecting(&[]);
    for _ in 0..2 {
        let mut call = Stage::default().foresees(foresight.clone()).answer("Here.").call();
        call.says("where do I park", ms(800)).await;
        call.silence(ms(3_000)).await;
    }
    let learned = foresight.learned();
    assert_eq!(learned.len(), 2);
    assert_ne!(learned[0].0, learned[1].0);
}

#[tokio::test(start_paused = true)]
async fn another_tenants_agent_is_offered_nothing() {
    for (tenant, asked) in [("default", 1), ("other", 0)] {
        let foresight = expecting(&["how much is it"]);
        let mut scene = Stage::default().foresees(foresight.clone()).scene();
        scene.identity.tenant = tenant.into();
        let mut call = scene.call();
        call.silence(ms(1_000)).await;
        assert_eq!(call.requests().len(), asked);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_foreseen_where_replies_may_not_be_used_again() {
    let foresight = expecting(&["how much is it"]);
    let stage =
        Stage::default().foresees(foresight.clone()).reusing(antiphon_core::session::ReplyReuse::Never);
    let mut call = stage.greeting("Welcome.").answer("Here.").call();
    call.silence(ms(2_000)).await;
    call.says("where do I park", ms(800)).await;
    call.silence(ms(3_000)).await;
    assert_eq!(foresight.told(), []);
}
