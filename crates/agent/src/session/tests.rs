//! Tests of whole calls in virtual time: engines and the person are scripted, so no sound is made and nothing
//! really waits.

mod ending;
mod person;
mod prefetch;
mod silence;
mod stage;
mod tools;
mod turn_context;
mod warm_up;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use antiphon_core::call::{Command, CommandKind, Pacing, Place};
use antiphon_core::session::ReplyRequest;
use antiphon_core::{
    CallEnd, CallId, CallStart, ConversationItem, Event, ItemContent, ItemId, Observer, Part, ReplyStatus,
    RequestOutcome, Role,
};

use stage::{Hearing, Stage};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn command(kind: CommandKind) -> Command {
    Command { request_id: Some("c1".to_owned()), kind }
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_heard_answered_and_remembered() {
    let mut call = Stage::default().answer("It is noon. Anything else?").call();
    call.says("what time is it", ms(1_000)).await;
    call.silence(ms(4_000)).await;
    assert_eq!(call.replies(), ["It is noon. Anything else?"]);
    let request = call.requests().pop().expect("the model was asked");
    assert_eq!(request.messages.last().map(|m| m.content.as_str()), Some("what time is it"));
    assert!(call.audio() > ms(1_000), "the reply was spoken");
    let latency = call.latencies().pop().expect("measured");
    assert!(latency.total >= latency.end_of_turn && latency.total < ms(1_000), "{latency:?}");
    call.says("thank you", ms(600)).await;
    call.silence(ms(3_000)).await;
    let roles: Vec<Role> = call.requests().pop().expect("asked").messages.iter().map(|m| m.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::User]);
}

#[tokio::test(start_paused = true)]
async fn the_reply_is_prepared_in_the_pause_and_thrown_away_when_the_person_goes_on() {
    let mut call = Stage::default().unfinished().answer("Thrown away.").answer("Sure.").call();
    call.says("I would like", ms(800)).await;
    call.silence(ms(500)).await;
    assert_eq!(call.requests().len(), 1, "prepared");
    assert_eq!(call.replies(), Vec::<String>::new(), "but not said");
    call.says("I would like a pizza", ms(800)).await;
    call.silence(ms(4_000)).await;
    assert_eq!(call.requests().len(), 2);
    assert_eq!(call.replies(), ["Sure."]);
    let started = call.events().iter().filter(|e| matches!(e, Event::ReplyStarted { .. })).count();
    assert_eq!(started, 1);
}

#[tokio::test(start_paused = true)]
async fn a_prepared_reply_waits_for_nothing_once_the_turn_is_over() {
    let slow = Stage::default().first_token(ms(100)).answer("Yes.");
    let mut call = slow.call();
    call.says("hello", ms(800)).await;
    call.silence(ms(2_000)).await;
    let latency = call.latencies().pop().expect("measured");
    assert!(latency.total < latency.end_of_turn + ms(40), "{latency:?}");
}

#[tokio::test(start_paused = true)]
async fn an_interruption_stops_the_audio_and_the_history_keeps_what_was_heard() {
    let long = "One two three four five six seven eight nine ten eleven twelve. And so it goes on for long.";
    let mut call = Stage::default().answer(long).call();
    call.says("count", ms(800)).await;
    call.silence(ms(1_500)).await;
    let cleared = call.cleared();
    call.says("stop stop", ms(1_000)).await;
    assert_eq!(call.cleared() - cleared, 2, "held at once, then dropped");
    call.silence(ms(4_000)).await;
    let heard = call
        .events()
        .iter()
        .find_map(|e| match e {
            Event::Interrupted { text, latency, .. } => Some((text.clone(), latency.expect("by speech"))),
            _ => None,
        })
        .expect("interrupted");
    assert!(long.starts_with(&heard.0) && heard.0.len() < long.len(), "{heard:?}");
    assert!(heard.1 <= ms(250), "{heard:?}");
    let request = call.requests().pop().expect("asked");
    let said: Vec<&str> = request.messages.iter().map(|m| m.content.as_str()).collect();
    assert_eq!(said[2], heard.0);
}

#[tokio::test(start_paused = true)]
async fn a_back_channel_does_not_end_the_reply() {
    let text = "One two three four five six seven. And now we go on to the end.";
    let mut call = Stage::default().answer(text).call();
    call.says("tell me", ms(800)).await;
    call.silence(ms(1_000)).await;
    call.says("mm-hm", ms(300)).await;
    call.silence(ms(8_000)).await;
    assert_eq!(call.replies(), [text]);
    assert!(!call.events().iter().any(|e| matches!(e, Event::Interrupted { .. })));
    assert!(call.audio() >= stage::spoken(text), "nothing of it was lost");
}

#[tokio::test(start_paused = true)]
async fn a_failed_model_is_apologised_for_and_the_call_goes_on() {
    let mut call = Stage::default().fail().fail().answer("Here I am.").call();
    call.says("hello", ms(800)).await;
    call.silence(ms(4_000)).await;
    assert_eq!(call.replies(), ["", "Sorry."]);
    call.says("hello again", ms(800)).await;
    call.silence(ms(4_000)).await;
    assert_eq!(call.replies().last().map(String::as_str), Some("Here I am."));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_never_answers_does_not_hang_the_call() {
    let mut call = Stage::default().first_token(Duration::from_hours(1)).answer("never").call();
    call.says("hello", ms(800)).await;
    call.silence(Duration::from_secs(30)).await;
    assert!(
        call.events().iter().any(|e| matches!(e, Event::ReplyDone { status: ReplyStatus::Failed(_), .. }))
    );
    assert_eq!(call.replies().last().map(String::as_str), Some("Sorry."));
}

#[tokio::test(start_paused = true)]
async fn silence_is_prompted_and_the_call_ends_with_a_goodbye() {
    let mut call = Stage::default().greeting("Welcome.").reprompt(Duration::from_secs(5)).call();
    call.silence(Duration::from_secs(40)).await;
    assert_eq!(call.replies(), ["Welcome.", "Hello?", "Hello?", "Bye."]);
    assert!(call.hung_up());
}

#[tokio::test(start_paused = true)]
async fn typed_words_are_a_turn_at_once() {
    let mut call = Stage::default().answer("You typed.").call();
    call.types("hi").await;
    call.silence(ms(2_000)).await;
    assert_eq!(call.replies(), ["You typed."]);
    assert_eq!(call.latencies().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_typed_turn_is_timed_from_when_it_was_typed_though_no_audio_comes() {
    let mut call = Stage::default().answer("You typed.").call();
    tokio::time::sleep(Duration::from_mins(5)).await;
    call.types("hi").await;
    call.silence(ms(2_000)).await;
    let latency = call.latencies().pop().expect("measured");
    assert!(latency.total < ms(1_000) && latency.end_of_turn < ms(100), "{latency:?}");
}

#[tokio::test(start_paused = true)]
async fn manual_turns_are_committed_and_answered_on_request() {
    let mut call = Stage::default().manual().pacing(Pacing::Client).answer("Done.").call();
    call.says("do it", ms(800)).await;
    call.asks(command(CommandKind::CommitInput)).await;
    call.asks(command(CommandKind::Reply(Box::default()))).await;
    call.silence(ms(2_000)).await;
    assert_eq!(call.replies(), ["Done."]);
    let request = call.requests().pop().expect("asked");
    assert_eq!(request.messages.last().map(|m| m.content.as_str()), Some("do it"), "waited for the words");
    call.asks(command(CommandKind::ClearInput)).await;
    call.asks(command(CommandKind::CommitInput)).await;
    assert_eq!(call.refusals(), ["input_audio_buffer_commit_empty"]);
}

#[tokio::test(start_paused = true)]
async fn the_client_edits_the_conversation() {
    let mut call = Stage::default().manual().pacing(Pacing::Client).answer("One two three four.").call();
    let message = |id: &str, text: &str| {
        ConversationItem::message(ItemId::new(id), Role::User, Part::Text(text.to_owned()))
    };
    let add = |item, place| command(CommandKind::AddItem { item, place, audio: Vec::new() });
    call.asks(add(message("b", "second"), Place::Last)).await;
    call.asks(add(message("a", "first"), Place::First)).await;
    call.asks(add(message("x", "lost"), Place::After(ItemId::new("nowhere")))).await;
    call.asks(command(CommandKind::DeleteItem(ItemId::new("b")))).await;
    call.asks(command(CommandKind::RetrieveItem(ItemId::new("b")))).await;
    call.asks(command(CommandKind::Reply(Box::default()))).await;
    call.silence(ms(200)).await;
    assert_eq!(call.refusals(), ["item_not_found", "item_not_found"]);
    let item = call.reply_item();
    call.asks(command(CommandKind::TruncateItem { item: item.clone(), audio_end: ms(600) })).await;
    call.asks(command(CommandKind::RetrieveItem(item.clone()))).await;
    let kept = call.events().iter().rev().find_map(|e| match e {
        Event::ItemRetrieved(item) => Some(item.text()),
        _ => None,
    });
    assert_eq!(kept.as_deref(), Some("One two"));
    call.asks(command(CommandKind::TruncateItem { item, audio_end: ms(60_000) })).await;
    assert_eq!(call.refusals().last().map(String::as_str), Some("audio_end_after_item"));
}

#[tokio::test(start_paused = true)]
async fn one_reply_at_a_time_in_the_conversation_and_others_beside_it() {
    let mut call = Stage::default()
        .manual()
        .pacing(Pacing::Client)
        .first_token(ms(500))
        .answer("A.")
        .answer("B.")
        .call();
    call.asks(command(CommandKind::Reply(Box::default()))).await;
    call.asks(command(CommandKind::Reply(Box::default()))).await;
    assert_eq!(call.refusals(), ["conversation_already_has_active_response"]);
    let aside = ReplyRequest { out_of_band: true, spoken: Some(false), ..ReplyRequest::default() };
    call.asks(command(CommandKind::Reply(Box::new(aside)))).await;
    call.silence(ms(2_000)).await;
    let mut replies = call.replies();
    replies.sort();
    assert_eq!(replies, ["A.", "B."]);
    let added = call.events().iter().filter(|e| matches!(e, Event::ItemAdded { .. })).count();
    assert_eq!(added, 1, "what is beside the conversation is not in it");
    call.asks(command(CommandKind::CancelReply(None))).await;
    assert_eq!(call.refusals().last().map(String::as_str), Some("response_cancel_not_active"));
}

#[tokio::test(start_paused = true)]
async fn tool_calls_are_told_and_their_output_goes_back_to_the_model() {
    let mut call =
        Stage::default().manual().call_tool("weather", r#"{"city":"Bern"}"#).answer("Sunny.").call();
    call.asks(command(CommandKind::Reply(Box::default()))).await;
    call.silence(ms(200)).await;
    let call_id = call
        .events()
        .iter()
        .find_map(|e| match e {
            Event::OutputDone { item, .. } => match &item.content {
                ItemContent::ToolCall(tool) => Some(tool.id.clone()),
                ItemContent::Message { .. } | ItemContent::ToolOutput { .. } => None,
            },
            _ => None,
        })
        .expect("a tool call");
    let content = ItemContent::ToolOutput { call_id: call_id.clone(), output: "21 C".to_owned() };
    let item =
        ConversationItem { id: ItemId::new("o"), content, status: antiphon_core::ItemStatus::Completed };
    call.asks(command(CommandKind::AddItem { item, place: Place::Last, audio: Vec::new() })).await;
    call.asks(command(CommandKind::Reply(Box::default()))).await;
    call.silence(ms(2_000)).await;
    assert_eq!(call.replies().last().map(String::as_str), Some("Sunny."));
    let messages = call.requests().pop().expect("asked").messages;
    assert_eq!(messages[messages.len() - 2].tool_calls[0].name, "weather");
    assert_eq!(messages[messages.len() - 1].tool_call_id.as_deref(), Some(call_id.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_in_mid_reply_leaves_nothing_behind() {
    let long = "A long reply that will not be heard to its end, whatever happens. ".repeat(8);
    let stage = Stage::default().answer(&long);
    let streams = stage.streams();
    let mut call = stage.call();
    call.says("talk", ms(800)).await;
    call.silence(ms(1_000)).await;
    assert!(streams.alive() > 0);
    call.hang_up().await;
    assert_eq!(streams.alive(), 0, "every stream of every engine was dropped");
}

#[tokio::test(start_paused = true)]
async fn whoever_was_not_understood_is_told_so() {
    for (hearing, within) in [(Hearing::Fails, ms(4_000)), (Hearing::Hangs, ms(14_000))] {
        let mut call = Stage::default().hearing(hearing).call();
        for turn in 1..=2 {
            call.says("what time is it", ms(1_000)).await;
            call.silence(within).await;
            assert_eq!(call.replies(), vec!["Sorry."; turn]);
        }
        let failed = call.events().iter().filter(|e| matches!(e, Event::UserTextFailed { .. })).count();
        assert_eq!(failed, 2, "told once a turn");
        assert!(call.requests().is_empty(), "the model has nothing to answer");
    }
}

#[tokio::test(start_paused = true)]
async fn speech_recognition_that_ends_early_keeps_nobody_waiting() {
    let mut call = Stage::default().hearing(Hearing::Ends).call();
    call.says("hm", ms(1_000)).await;
    call.silence(ms(2_000)).await;
    let told = call.events().into_iter().find_map(|event| match event {
        Event::UserText { text, done: true, .. } => Some(text),
        _ => None,
    });
    assert_eq!(told.as_deref(), Some(""));
    assert_eq!(call.replies(), Vec::<String>::new(), "nothing was said");
}

#[tokio::test(start_paused = true)]
async fn a_client_cannot_fill_the_memory() {
    let mut call = Stage::default().manual().hearing(Hearing::Hangs).call();
    let add = |n: usize, text: String, audio: Vec<i16>| {
        let item = ConversationItem::message(ItemId::new(n.to_string()), Role::User, Part::Text(text));
        command(CommandKind::AddItem { item, place: Place::Last, audio })
    };
    call.asks(add(0, "a".repeat(65 << 10), Vec::new())).await;
    assert_eq!(call.refusals(), ["item_too_long"]);
    for n in 1..=17 {
        call.asks(add(n, String::new(), vec![0; 1_600])).await;
    }
    assert_eq!(call.refusals().last().map(String::as_str), Some("too_many_transcriptions"));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_cut_short_stays_as_it_was_heard() {
    let mut call = Stage::default().manual().pacing(Pacing::Client).answer("One two three four.").call();
    call.asks(command(CommandKind::Reply(Box::default()))).await;
    let item = call
        .events()
        .into_iter()
        .find_map(|event| match event {
            Event::OutputStarted { item, .. } => Some(item.id),
            _ => None,
        })
        .expect("begun");
    call.asks(command(CommandKind::TruncateItem { item: item.clone(), audio_end: ms(0) })).await;
    call.silence(ms(2_000)).await;
    call.asks(command(CommandKind::RetrieveItem(item))).await;
    let kept = call.events().into_iter().find_map(|event| match event {
        Event::ItemRetrieved(item) => Some(item.text()),
        _ => None,
    });
    assert_eq!(kept.as_deref(), Some(""));
}

/// Counts the calls that have begun and not ended.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Observer for Counted {
    fn call_started(&self, _: &CallStart) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn event(&self, _: &CallId, _: &Event) {}

    fn call_ended(&self, _: &CallStart, end: &CallEnd) {
        assert!(matches!(end, CallEnd::Lost(_)));
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn request_ended(&self, _: &'static str, _: RequestOutcome) {}
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_task_is_thrown_away_is_over() {
    let counted = Arc::new(Counted::default());
    let mut scene = Stage::default().scene();
    scene.observer = counted.clone();
    let mut call = scene.call();
    call.silence(ms(100)).await;
    assert_eq!(counted.0.load(Ordering::Relaxed), 1);
    call.is_dropped().await;
    assert_eq!(counted.0.load(Ordering::Relaxed), 0);
}
