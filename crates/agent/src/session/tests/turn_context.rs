//! Tests of what is looked up for a turn, in whole calls.

use std::sync::{Arc, Mutex};

use antiphon_core::call::{Command, CommandKind};
use antiphon_core::session::{ReplyInput, ReplyRequest};
use antiphon_core::{
    BoxFuture, ConversationItem, Emotion, EmotionClassifier, EmotionScores, Event, ItemId, Knowledge,
    Memories, Memory, Part, Passage, PersonId, Priority, Recollection, Result, Role, Search, StepOutcome,
    Style, TenantId,
};

use super::ms;
use super::stage::{Lookups, Stage};

/// An emotion classifier, knowledge and memory in one: detects anger, knows one fact, and stores what it is told.
#[derive(Default)]
pub(super) struct Scripted {
    told: Mutex<Vec<String>>,
    /// How long each lookup takes, in milliseconds.
    took: u64,
}

impl EmotionClassifier for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn confidence(&self) -> f32 {
        0.6
    }

    fn classify(&self, _: String, _: Priority) -> BoxFuture<'static, Result<EmotionScores>> {
        let mut scores = [0.02; 7];
        scores[Emotion::Anger as usize] = 0.88;
        let took = ms(self.took);
        Box::pin(async move {
            tokio::time::sleep(took).await;
            Ok(EmotionScores(scores))
        })
    }
}

impl Knowledge for Scripted {
    fn search(&self, asked: Search) -> BoxFuture<'static, Result<Vec<Passage>>> {
        let text = format!("A fact for: {}", asked.about);
        Box::pin(async { Ok(vec![Passage { text, source: "faq".to_owned(), relevance: 0.9 }]) })
    }
}

struct Shared(Arc<Scripted>);

impl Memories for Shared {
    fn of(&self, _: &TenantId, person: &PersonId) -> Arc<dyn Memory> {
        assert_eq!(person.as_str(), "ada");
        Arc::new(Shared(self.0.clone()))
    }
}

impl Memory for Shared {
    fn remember(&self, person_said: String, _: String) -> BoxFuture<'static, Result<()>> {
        self.0.told.lock().expect("no test panics while it holds a lock").push(person_said);
        Box::pin(async { Ok(()) })
    }

    fn recall(&self, _: Search) -> BoxFuture<'static, Result<Vec<Recollection>>> {
        let told = self.0.told.lock().expect("no test panics while it holds a lock").clone();
        let recalled = told.into_iter().map(|text| Recollection { text, relevance: 0.9 }).collect();
        Box::pin(async { Ok(recalled) })
    }

    fn profile(&self, _: usize) -> BoxFuture<'static, Result<Vec<String>>> {
        Box::pin(async { Ok(vec!["Her name is Ada.".to_owned()]) })
    }
}

pub(super) fn lookups(scripted: &Arc<Scripted>) -> Lookups {
    Lookups {
        emotion: Some(scripted.clone()),
        memories: Some(Arc::new(Shared(scripted.clone()))),
        knowledge: Some(scripted.clone()),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_found_reaches_prompt_voice_and_events() {
    let scripted = Arc::<Scripted>::default();
    let mut call =
        Stage::default().answer("I am sorry.").answer("Again.").looks_up(lookups(&scripted)).call();
    call.says("you lost my order again", ms(1_000)).await;
    call.silence(ms(4_000)).await;
    let request = call.requests().pop().expect("asked");
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::System, Role::User]);
    let context = &request.messages[1].content;
    for part in ["A fact for: you lost my order again", "Her name is Ada.", "anger"] {
        assert!(context.contains(part), "{context}");
    }
    assert!(call.speeches().iter().all(|said| said.style == Style::Calm), "{:?}", call.speeches());
    let gathered = call.events().into_iter().find_map(|event| match event {
        Event::TurnContext { emotion, steps, .. } => Some((emotion, steps)),
        _ => None,
    });
    let (emotion, steps) = gathered.expect("told");
    assert_eq!(emotion.map(|(emotion, _)| emotion), Some(Emotion::Anger));
    assert_eq!(steps.iter().filter(|step| step.outcome == StepOutcome::Done).count(), 4, "{steps:?}");
    assert_eq!(
        *scripted.told.lock().expect("free"),
        ["you lost my order again"],
        "remembered, after the reply"
    );
    call.says("and now you did it once more", ms(1_000)).await;
    call.silence(ms(4_000)).await;
    let request = call.requests().pop().expect("asked");
    let said_earlier = "The person said earlier:\n- you lost my order again";
    assert!(request.messages.iter().any(|message| message.content.contains(said_earlier)), "{request:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_looked_up_for_what_a_client_asks_beside_the_conversation() {
    let scripted = Arc::<Scripted>::default();
    let mut call =
        Stage::default().answer("I am sorry.").answer("A complaint.").looks_up(lookups(&scripted)).call();
    call.says("you lost my order again", ms(1_000)).await;
    call.silence(ms(4_000)).await;
    let input =
        ConversationItem::message(ItemId::new("i"), Role::User, Part::Text("Name the topic.".to_owned()));
    let request = ReplyRequest {
        out_of_band: true,
        input: Some(vec![ReplyInput::Item(input)]),
        ..ReplyRequest::default()
    };
    call.asks(Command { request_id: None, kind: CommandKind::Reply(Box::new(request)) }).await;
    let request = call.requests().pop().expect("asked");
    let said: Vec<&str> = request.messages.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(said, ["You are a test.", "Name the topic."]);
}

#[tokio::test(start_paused = true)]
async fn a_late_look_up_does_not_delay_the_reply_past_its_deadline() {
    let slow = Arc::new(Scripted { took: 5_000, ..Scripted::default() });
    let mut call = Stage::default().answer("Yes.").looks_up(lookups(&slow)).call();
    call.says("are you there by any chance", ms(1_000)).await;
    call.silence(ms(3_000)).await;
    let latency = call.latencies().pop().expect("measured");
    assert!(latency.total < ms(600), "{latency:?}");
    let request = call.requests().pop().expect("asked");
    assert!(!request.messages.iter().any(|message| message.content.contains("anger")));
    let late = call.events().into_iter().any(|event| {
        matches!(event, Event::TurnContext { steps, .. } if steps.iter().any(|s| s.outcome == StepOutcome::Late))
    });
    assert!(late);
}
