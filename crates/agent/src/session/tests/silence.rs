//! What is heard of models that fail in every way: no dead air.

use std::fmt::Write;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use antiphon_core::call::{CommandKind, Pacing};
use antiphon_core::session::Sayings;
use antiphon_core::{ErrorKind, Event, ItemContent, ReplyStatus};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

use super::stage::{Act, Person, Stage};
use super::{command, ms};

/// Nobody is to hear more silence than this while a reply is owed.
const LONGEST_SILENCE: Duration = Duration::from_secs(2);
const APOLOGY: &str = "Sorry.";

/// Collects the lines of the log with the level WARN.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Collects those of this thread until the guard is dropped.
    fn collect() -> (Self, tracing::subscriber::DefaultGuard) {
        // As long as a process has a single subscriber, a warning that another thread reaches first is switched off for all if that
        // thread has none (tracing-core, `Rebuilder::JustOne`). So there is always a second one.
        static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| tracing::Dispatch::new(Self::default()));
        let warnings = Self::default();
        let guard = tracing::subscriber::set_default(warnings.clone());
        (warnings, guard)
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("whole").clone()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{field}={value:?} ").expect("text");
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().expect("whole").push(line.0);
    }

    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn words(count: usize, gap: u64) -> Vec<Act> {
    (0..count).flat_map(|n| [Act::Wait(ms(gap)), Act::Say(format!("word{n} "))]).collect()
}

/// A model that behaves like this in the turn and its speculation, and then answers well.
fn stage(acts: &[Act]) -> Stage {
    Stage::default()
        .configured(|config| {
            config.sayings.waiting = vec!["One moment.".to_owned(), "Still here.".to_owned()];
        })
        .acts(acts.to_vec())
        .acts(acts.to_vec())
        .answer("Here I am.")
}

/// A caller asks, and waits for `lasting`.
async fn asks(stage: Stage, lasting: Duration) -> Person {
    let mut call = stage.call();
    call.says("hello", ms(800)).await;
    call.silence(lasting).await;
    call
}

/// A client over Realtime asks, whose agent has nothing to say of its own.
async fn asks_over_realtime(acts: &[Act], lasting: Duration) -> Person {
    let mut call = Stage::default()
        .configured(|config| config.sayings = Sayings::default())
        .manual()
        .pacing(Pacing::Client)
        .acts(acts.to_vec())
        .call();
    call.asks(command(CommandKind::Reply(Box::default()))).await;
    call.silence(lasting).await;
    call
}

/// How the reply failed.
fn failure(call: &Person) -> Option<(ErrorKind, String)> {
    call.events().into_iter().find_map(|event| match event {
        Event::ReplyDone { status: ReplyStatus::Failed(error), .. } => {
            Some((error.kind(), error.to_string()))
        }
        _ => None,
    })
}

fn assert_one_warning(warnings: &Warnings, says: &str) {
    let lines = warnings.lines();
    assert!(matches!(&lines[..], [line] if line.contains(says)), "{says}: {lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_breaks_off_is_followed_by_an_apology() {
    for acts in [
        vec![Act::Say("The answer is, as far as I know. And".to_owned()), Act::Fail],
        vec![Act::Say("The answer is, as far as I know. And".to_owned()), Act::End],
    ] {
        let (warnings, _guard) = Warnings::collect();
        let call = asks(stage(&acts), ms(8_000)).await;
        assert_eq!(call.replies().last().map(String::as_str), Some(APOLOGY));
        assert!(call.longest_silence() < LONGEST_SILENCE, "{:?}", call.longest_silence());
        assert_one_warning(
            &warnings,
            if acts.contains(&Act::End) { "broke off" } else { "the script says so" },
        );

        let call = asks_over_realtime(&acts, ms(2_000)).await;
        assert!(failure(&call).is_some(), "{:?}", call.events());
        assert_eq!(call.replies().len(), 1, "over Realtime the client decides what follows");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_stalls_is_bridged_and_given_up_in_the_end() {
    let late = vec![Act::Wait(ms(6_000)), Act::Say("It is noon.".to_owned())];
    let (warnings, guard) = Warnings::collect();
    let call = asks(stage(&late), ms(10_000)).await;
    assert_eq!(call.replies(), ["It is noon."], "what bridges the silence is not part of the reply");
    let spoken: Vec<String> = call.speeches().into_iter().map(|speech| speech.text).collect();
    assert!(spoken.starts_with(&["One moment.".to_owned(), "Still here.".to_owned()]), "{spoken:?}");
    assert!(call.longest_silence() < LONGEST_SILENCE, "{:?}", call.longest_silence());
    assert_one_warning(&warnings, "nothing was to be heard");
    drop(guard);
    for acts in [vec![Act::Hang], vec![Act::Say("The answer to your question is ".to_owned()), Act::Hang]] {
        let (warnings, _guard) = Warnings::collect();
        let call = asks(stage(&acts), ms(40_000)).await;
        assert_eq!(call.replies().last().map(String::as_str), Some(APOLOGY));
        assert!(call.longest_silence() < LONGEST_SILENCE, "{:?}", call.longest_silence());
        assert_one_warning(&warnings, "no more of the reply came");

        let call = asks_over_realtime(&acts, ms(5_000)).await;
        let (kind, message) = failure(&call).expect("failed");
        assert!(kind == ErrorKind::Timeout && message.contains("silent for 2 s"), "{message}");
        assert!(call.longest_silence() <= LONGEST_SILENCE + ms(100), "{:?}", call.longest_silence());
    }
}

#[tokio::test(start_paused = true)]
async fn arguments_that_take_their_time_are_progress() {
    let pieces = (0..30).flat_map(|n| [Act::Wait(ms(1_500)), Act::Call(format!("{n} "))]);
    let call = asks_over_realtime(&pieces.collect::<Vec<_>>(), Duration::from_mins(1)).await;
    assert_eq!(failure(&call), None);
    let written = call.events().into_iter().find_map(|event| match event {
        Event::OutputDone { item, .. } => match item.content {
            ItemContent::ToolCall(call) => Some(call.arguments),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(written, Some((0..30).map(|n| format!("{n} ")).collect::<Vec<_>>().concat()));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_answers_nothing_is_followed_by_an_apology() {
    for acts in [vec![Act::Done], vec![Act::Say(" \n".to_owned()), Act::Done]] {
        let (warnings, _guard) = Warnings::collect();
        let call = asks(stage(&acts), ms(4_000)).await;
        assert_eq!(call.replies().last().map(String::as_str), Some(APOLOGY));
        assert!(call.longest_silence() < LONGEST_SILENCE, "{:?}", call.longest_silence());
        assert_one_warning(&warnings, "answered nothing");
        let call = asks_over_realtime(&acts, ms(500)).await;
        assert_eq!(failure(&call).map(|(kind, _)| kind), Some(ErrorKind::Protocol));
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_drips_is_spoken_word_by_word() {
    let (warnings, _guard) = Warnings::collect();
    let mut acts = words(12, 1_000);
    acts.push(Act::Done);
    let call = asks(stage(&acts), ms(30_000)).await;
    let all: String = (0..12).map(|n| format!("word{n} ")).collect::<Vec<_>>().concat();
    assert_eq!(call.replies(), [all]);
    assert!(call.longest_silence() < LONGEST_SILENCE, "{:?}", call.longest_silence());
    assert_eq!(warnings.lines().len(), 1, "{:?}", warnings.lines());
    let call = asks_over_realtime(&acts, ms(30_000)).await;
    assert_eq!(failure(&call), None, "it is heard");
    assert!(call.longest_silence() < LONGEST_SILENCE, "{:?}", call.longest_silence());
}

#[tokio::test(start_paused = true)]
async fn a_model_that_never_ends_is_stopped() {
    let (warnings, _guard) = Warnings::collect();
    let mut call = stage(&words(100_000, 5)).call();
    call.says("hello", ms(800)).await;
    call.silence(Duration::from_mins(20)).await;
    let too_long = |e: &Event| matches!(e, Event::ReplyDone { status: ReplyStatus::TooLong, .. });
    assert_eq!(call.events().iter().filter(|e| too_long(e)).count(), 1);
    assert!(call.replies()[0].len() < 5_000, "{}", call.replies()[0].len());
    assert!(call.longest_silence() < LONGEST_SILENCE, "{:?}", call.longest_silence());
    assert_one_warning(&warnings, "did not come to an end");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_writes_without_a_space_is_heard_and_stopped() {
    let (warnings, _guard) = Warnings::collect();
    let acts: Vec<Act> = (0..100_000).flat_map(|_| [Act::Wait(ms(50)), Act::Say("ab".to_owned())]).collect();
    let mut call = stage(&acts).call();
    call.says("hello", ms(800)).await;
    call.silence(Duration::from_mins(20)).await;
    assert!(call.events().iter().any(|e| matches!(e, Event::ReplyDone { status: ReplyStatus::TooLong, .. })));
    assert!(call.longest_silence() < LONGEST_SILENCE, "{:?}", call.longest_silence());
    assert_eq!(warnings.lines().len(), 1, "{:?}", warnings.lines());
    let longest = call.speeches().iter().map(|speech| speech.text.len()).max().unwrap_or_default();
    assert!(longest < 1_000, "{longest} letters in one go");
}

#[tokio::test(start_paused = true)]
async fn a_voice_that_fails_is_not_asked_without_end_to_say_that_it_takes_a_moment() {
    let mut call = stage(&[Act::Hang]).mute().call();
    call.says("hello", ms(800)).await;
    call.silence(ms(15_000)).await;
    let asked = call.speeches().len();
    assert!((5..15).contains(&asked), "{asked} times in 15 s");
}

#[tokio::test(start_paused = true)]
async fn a_person_who_speaks_meanwhile_is_listened_to() {
    let mut call = stage(&[Act::Hang]).answer("Gladly.").call();
    call.says("hello", ms(800)).await;
    call.silence(ms(1_000)).await;
    let before = call.speeches().len();
    call.says("are you there", ms(3_000)).await;
    assert_eq!(call.speeches().len(), before, "nobody speaks over them");
}
