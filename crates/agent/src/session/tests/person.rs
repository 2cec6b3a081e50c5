//! What a person does beside speaking: pressing keys, and making sounds without words.

use std::time::Duration;

use antiphon_core::call::Pacing;
use antiphon_core::session::SessionConfig;
use antiphon_core::{Event, ItemContent, Part, Priority};

use super::ms;
use super::stage::{Hearing, Person, Stage};

/// The last message of each request to the model.
fn asked(call: &Person) -> Vec<String> {
    let last = |request: antiphon_core::ChatRequest| request.messages.last().map(|last| last.content.clone());
    call.requests().into_iter().filter_map(last).collect()
}

#[tokio::test(start_paused = true)]
async fn keys_pressed_in_one_go_are_one_turn() {
    for (keys, gap) in [("4821#", ms(250)), ("4821#", ms(1_200)), ("4821", ms(250))] {
        let mut call = Stage::default().answer("Thank you.").call();
        call.silence(ms(500)).await;
        call.presses(keys, gap).await;
        call.silence(ms(6_000)).await;
        assert_eq!(asked(&call), ["(pressed 4821 on the keypad)"], "{keys} {gap:?}");
        assert_eq!(call.replies(), ["Thank you."]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_stops_the_agent_at_once_and_the_turn_follows() {
    let mut call = Stage::default().greeting("Welcome to a menu that is long, and then even longer.").call();
    call.silence(ms(1_000)).await;
    call.presses("1", ms(100)).await;
    assert!(call.events().iter().any(|event| matches!(event, Event::Interrupted { .. })));
    assert!(call.requests().is_empty(), "another key may follow");
    call.silence(ms(2_500)).await;
    assert_eq!(asked(&call), ["(pressed 1 on the keypad)"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_keeps_the_conversation_learns_that_a_turn_had_no_words() {
    let mut call = Stage::default().pacing(Pacing::Client).answer("Yes.").call();
    call.says("", ms(600)).await;
    call.silence(ms(3_000)).await;
    let told: Vec<&str> = call
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::SpeechStarted { .. } => Some("started"),
            Event::SpeechStopped { .. } => Some("stopped"),
            Event::SpeechDropped { .. } => Some("dropped"),
            Event::InputCommitted { .. } => Some("committed"),
            Event::ItemDone { item, .. } => match &item.content {
                ItemContent::Message { parts, .. } => {
                    assert_eq!(*parts, [Part::Audio { transcript: Some(String::new()) }]);
                    Some("item")
                }
                _ => None,
            },
            Event::UserText { text, done: true, .. } if text.is_empty() => Some("no words"),
            Event::ReplyStarted { .. } => Some("replied"),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["started", "stopped", "committed", "item", "no words"]);
    call.says("hello", ms(600)).await;
    call.silence(ms(3_000)).await;
    let read: Vec<String> =
        call.requests().pop().expect("asked").messages.into_iter().map(|message| message.content).collect();
    assert_eq!(read, ["You are a test.", "hello"], "the model reads nothing of it");
}

#[tokio::test(start_paused = true)]
async fn what_turns_out_to_be_a_recording_gives_way_until_it_is_over() {
    let mut call = Stage::default().recording(ms(1_000)..ms(2_000)).call();
    let mut urgencies = Vec::new();
    for _ in 0..4 {
        call.says("And so on and so on.", ms(700)).await;
        urgencies.extend(call.urgency());
    }
    call.silence(ms(1_000)).await;
    urgencies.extend(call.urgency());
    urgencies.dedup();
    assert_eq!(urgencies, [Priority::LiveTurn, Priority::Interactive, Priority::LiveTurn]);
}

/// What happened to the words of five sentences, of which each takes longer to understand than to say.
async fn dictated(stage: Stage, words_after: Duration) -> Vec<&'static str> {
    let transcribe = |config: &mut SessionConfig| config.listening.transcribe_only = true;
    let mut call = stage.hearing(Hearing::Slow(words_after)).configured(transcribe).call();
    for _ in 0..5 {
        call.says("And so on.", ms(800)).await;
        call.silence(ms(1_200)).await;
    }
    call.silence(ms(40_000)).await;
    let kind = |event: Event| match event {
        Event::InputCommitted { .. } => Some("said"),
        Event::UserText { done: true, .. } => Some("understood"),
        Event::UserTextFailed { .. } => Some("lost"),
        _ => None,
    };
    call.events().into_iter().filter_map(kind).collect()
}

#[tokio::test(start_paused = true)]
async fn a_recording_is_heard_no_faster_than_it_is_understood() {
    let count = |events: &[&str], kind| events.iter().filter(|event| **event == kind).count();
    let most_waiting = |events: &[&str]| {
        (0..events.len())
            .map(|end| count(&events[..=end], "said") - count(&events[..=end], "understood"))
            .max()
    };
    let live = dictated(Stage::default(), ms(8_000)).await;
    assert!(most_waiting(&live) > Some(2), "somebody who speaks cannot be held up: {live:?}");
    let recording = dictated(Stage::default().recording(ms(0)..ms(60_000)), ms(8_000)).await;
    assert_eq!((most_waiting(&recording), count(&recording, "lost")), (Some(2), 0), "{recording:?}");
    // What waited comes at once then, so that several sentences may be one turn.
    assert_eq!(count(&recording, "understood"), count(&recording, "said"), "{recording:?}");
    let over = dictated(Stage::default().recording(ms(0)..ms(3_000)), ms(15_000)).await;
    assert!(count(&over, "understood") > 0, "what was taken in of it still has its time: {over:?}");
}
