use proptest::prelude::*;

use super::*;

/// The audio that voice activity detection judges at a time.
const WINDOW: Duration = Duration::from_millis(32);

/// Feeds 32 ms windows of one probability and collects what to do.
struct Call {
    dialog: Dialog,
    now: MediaTime,
    done: Vec<DialogOutput>,
}

impl Call {
    fn new(config: TurnConfig) -> Self {
        Self { dialog: Dialog::new(config), now: MediaTime::ZERO, done: Vec::new() }
    }

    fn input(&mut self, input: Input<'_>) -> &mut Self {
        self.dialog.handle(input, self.now);
        while let Some(output) = self.dialog.poll() {
            self.done.push(output);
        }
        self
    }

    fn voice(&mut self, probability: f32, ms: u64) -> &mut Self {
        for _ in 0..ms / 32 {
            self.now += WINDOW;
            self.input(Input::Voice(probability));
        }
        self
    }

    fn speech(&mut self, ms: u64) -> &mut Self {
        self.voice(0.9, ms)
    }

    fn silence(&mut self, ms: u64) -> &mut Self {
        self.voice(0.01, ms)
    }

    fn heard(&mut self, text: &str) -> &mut Self {
        self.input(Input::Transcript { text, flushed: true })
    }

    fn take(&mut self) -> Vec<DialogOutput> {
        std::mem::take(&mut self.done)
    }

    fn has(&self, wanted: DialogOutput) -> bool {
        self.done.contains(&wanted)
    }

    /// A call in which the agent has just begun to answer the first turn.
    fn speaking(config: TurnConfig) -> Self {
        let mut call = Self::new(config);
        call.speech(960).silence(320).heard("Hello.").input(Input::TurnScore(PauseId(1), 0.9));
        call.silence(320).input(Input::ReplyStarted);
        assert_eq!(call.dialog.phase(), Phase::Speaking);
        call.take();
        call
    }
}

fn ended(outputs: &[DialogOutput]) -> usize {
    outputs.iter().filter(|o| matches!(o, DialogOutput::TurnEnded { .. })).count()
}

#[test]
fn a_complete_turn_ends_after_the_short_wait() {
    let mut call = Call::new(TurnConfig::default());
    call.silence(320).speech(960);
    assert_eq!(call.take(), [DialogOutput::SpeechStarted { at: MediaTime::from_millis(320) }]);
    call.silence(96);
    let pause = MediaTime::from_millis(1280);
    assert_eq!(call.take(), [DialogOutput::SpeechPaused { at: pause }, DialogOutput::AskTurn(PauseId(1))]);
    call.heard("Yes, please.").input(Input::TurnScore(PauseId(1), 0.97)).silence(128);
    assert_eq!(call.take(), [DialogOutput::TurnEnded { turn: TurnId(1), speech_end: pause, respond: true }]);
    assert_eq!(call.dialog.phase(), Phase::Thinking);
}

#[test]
fn an_unfinished_turn_waits_for_the_cap_and_asks_again() {
    let mut call = Call::new(TurnConfig::default());
    call.speech(960).silence(96).input(Input::TurnScore(PauseId(1), 0.1)).heard("I would like to");
    call.silence(1_280);
    assert_eq!(ended(&call.done), 0);
    assert_eq!(
        call.done.iter().filter(|o| matches!(o, DialogOutput::AskTurn(_))).count(),
        2,
        "each costs 30 to 50 ms"
    );
    call.silence(160);
    assert_eq!(ended(&call.done), 1);
}

#[test]
fn a_turn_of_which_nothing_will_be_understood_is_not_waited_for() {
    let mut call = Call::new(TurnConfig::default());
    call.speech(960).silence(96).input(Input::Unheard).silence(160);
    assert_eq!(ended(&call.done), 1);
    let mut call = Call::new(TurnConfig::default());
    call.speech(960).input(Input::Unheard);
    assert_eq!(ended(&call.done), 0, "the person still speaks");
}

#[test]
fn going_on_takes_the_pause_back_and_a_late_score_is_ignored() {
    let mut call = Call::new(TurnConfig::default());
    call.speech(960).silence(160).speech(320);
    assert!(call.has(DialogOutput::SpeechResumed));
    call.silence(96).input(Input::TurnScore(PauseId(1), 0.99)).silence(320);
    assert_eq!(ended(&call.done), 0, "the score was about the first pause");
    call.input(Input::TurnScore(PauseId(2), 0.99)).heard("Yes, please.").silence(32);
    assert_eq!(ended(&call.done), 1);
}

#[test]
fn a_click_is_not_speech() {
    let mut call = Call::new(TurnConfig::default());
    call.silence(96).speech(64).silence(960);
    assert_eq!(call.take(), []);
}

#[test]
fn silence_mode_waits_exactly_its_silence() {
    let end = EndOfTurn::Silence(Duration::from_millis(512));
    let mut call = Call::new(TurnConfig { end, ..TurnConfig::default() });
    call.speech(320).silence(480);
    assert_eq!(ended(&call.done), 0);
    call.silence(32);
    assert_eq!(ended(&call.done), 1);
}

#[test]
fn the_turn_ends_by_the_clock_when_audio_stops_coming() {
    let mut call = Call::new(TurnConfig::default());
    call.speech(960).silence(96).heard("hello there");
    let at = call.dialog.wake_at().expect("a deadline");
    assert!(at > call.now);
    call.now = MediaTime::from_millis(5_000);
    call.input(Input::Tick);
    assert_eq!(ended(&call.done), 1);
}

#[test]
fn a_noise_without_words_is_dropped() {
    let mut call = Call::new(TurnConfig::default());
    call.speech(320).silence(96).heard("").silence(1_600);
    assert_eq!(ended(&call.done), 0);
    assert!(call.has(DialogOutput::UtteranceDropped));
    assert_eq!(call.dialog.phase(), Phase::Listening);
}

#[test]
fn a_back_channel_holds_the_reply_and_lets_it_go_on() {
    let mut call = Call::speaking(TurnConfig::default());
    call.speech(128);
    assert!(call.has(DialogOutput::HoldReply));
    assert_eq!(call.dialog.phase(), Phase::Interrupted);
    call.speech(160).silence(96).heard("Mm-hm.");
    let outputs = call.take();
    assert_eq!(outputs[outputs.len() - 2..], [DialogOutput::UtteranceDropped, DialogOutput::ResumeReply]);
    assert_eq!(call.dialog.phase(), Phase::Speaking);
}

#[test]
fn words_cancel_the_reply_before_the_grace_ends() {
    let mut call = Call::speaking(TurnConfig::default());
    call.speech(320).input(Input::Transcript { text: "stop", flushed: false });
    assert!(call.has(DialogOutput::CancelReply));
    call.silence(96).heard("Stop, please.").input(Input::TurnScore(PauseId(2), 0.9)).silence(1_440);
    assert_eq!(ended(&call.done), 1);
}

#[test]
fn a_sound_that_lasts_cancels_without_a_transcript() {
    let mut call = Call::speaking(TurnConfig::default());
    call.speech(640);
    assert!(!call.has(DialogOutput::CancelReply));
    call.speech(96);
    assert!(call.has(DialogOutput::CancelReply));
}

#[test]
fn barge_in_at_once_needs_no_grace_and_off_lets_the_agent_speak() {
    let mut call = Call::speaking(TurnConfig { barge_in: BargeIn::AtOnce, ..TurnConfig::default() });
    call.speech(128);
    assert!(call.has(DialogOutput::CancelReply) && !call.has(DialogOutput::HoldReply));

    let mut call = Call::speaking(TurnConfig { barge_in: BargeIn::Off, ..TurnConfig::default() });
    call.speech(960).silence(96).heard("and another thing").silence(1_600);
    let outputs = call.take();
    assert!(!outputs.contains(&DialogOutput::CancelReply));
    assert!(outputs.iter().any(|o| matches!(o, DialogOutput::TurnEnded { respond: false, .. })));
}

#[test]
fn a_reply_that_has_not_begun_is_held_too() {
    let mut call = Call::new(TurnConfig::default());
    call.speech(960).silence(96).heard("Yes.").input(Input::TurnScore(PauseId(1), 0.9)).silence(160);
    assert_eq!(call.dialog.phase(), Phase::Thinking);
    call.speech(128);
    assert!(call.has(DialogOutput::HoldReply));
    call.silence(96).heard("");
    assert!(call.has(DialogOutput::ResumeReply));
    assert_eq!(call.dialog.phase(), Phase::Thinking);
}

#[test]
fn long_silence_is_prompted_and_ends_with_a_goodbye() {
    let reprompt = Some(Duration::from_secs(8));
    let mut call = Call::speaking(TurnConfig { reprompt, ..TurnConfig::default() });
    for expected in [DialogOutput::Reprompt(1), DialogOutput::Reprompt(2), DialogOutput::Goodbye] {
        call.input(Input::ReplyFinished).silence(8_032);
        assert_eq!(call.take(), [expected]);
        call.input(Input::ReplyStarted);
    }
}

#[test]
fn a_person_who_never_pauses_is_answered_at_the_cap() {
    let mut call = Call::new(TurnConfig { max_turn: Duration::from_secs(30), ..TurnConfig::default() });
    call.speech(31_000);
    assert_eq!(ended(&call.done), 1);
}

#[test]
fn manual_turns_end_only_by_hand() {
    let mut call = Call::new(TurnConfig { end: EndOfTurn::Manual, ..TurnConfig::default() });
    call.speech(960).silence(20_000);
    assert_eq!(ended(&call.done), 0);
    call.input(Input::Commit);
    assert_eq!(ended(&call.done), 1);
}

#[test]
fn a_typed_turn_overtakes_what_is_said_on_both_sides() {
    let mut call = Call::new(TurnConfig { respond: false, ..TurnConfig::default() });
    call.speech(320).input(Input::ReplyRequested).input(Input::ReplyStarted);
    call.done.clear();
    call.input(Input::Typed);
    let told: Vec<&str> = call
        .done
        .iter()
        .map(|output| match output {
            DialogOutput::CancelReply => "cancelled",
            DialogOutput::UtteranceDropped => "dropped",
            DialogOutput::TurnEnded { respond: true, .. } => "answered",
            _ => "other",
        })
        .collect();
    assert_eq!(told, ["cancelled", "dropped", "answered"]);
    assert_eq!(call.dialog.phase(), Phase::Thinking);
}

#[test]
fn a_key_silences_the_agent_and_nobody_is_asked_whether_they_are_there() {
    let reprompt = || TurnConfig { reprompt: Some(Duration::from_secs(2)), ..TurnConfig::default() };
    let mut call = Call::speaking(reprompt());
    call.input(Input::KeyPressed);
    assert!(call.has(DialogOutput::CancelReply));
    let mut call = Call::speaking(reprompt());
    call.input(Input::ReplyFinished).silence(1_000).input(Input::KeyPressed).silence(5_000);
    assert_eq!(call.take(), []);
    call.input(Input::Typed);
    assert_eq!(ended(&call.done), 1);
}

fn any_step() -> impl Strategy<Value = (u8, f32)> {
    (0_u8..14, 0.0_f32..1.0)
}

proptest! {
    /// Whatever happens in whatever order: a held reply is resumed or cancelled before the next hold, turns
    /// count up by one, and the machine never asks to be woken in the past without doing something then.
    #[test]
    fn any_order_of_events_keeps_the_promises(steps in prop::collection::vec(any_step(), 1..400)) {
        let config = TurnConfig { reprompt: Some(Duration::from_secs(2)), ..TurnConfig::default() };
        let mut call = Call::new(config);
        let mut held = false;
        let mut turn = 0;
        for (kind, value) in steps {
            call.now += WINDOW;
            match kind {
                0..=4 => call.speech(96),
                5..=6 => call.silence(160),
                7 => call.heard(if value > 0.5 { "stop that" } else { "mm-hm" }),
                8 => call.input(Input::ReplyStarted),
                9 => call.input(Input::ReplyFinished),
                10 => call.input(Input::TurnScore(call.dialog.pause, value)),
                11 => call.input(Input::Typed),
                12 => call.input(Input::KeyPressed),
                _ => call.input(if value > 0.5 { Input::Commit } else { Input::Clear }),
            };
            for output in call.take() {
                match output {
                    DialogOutput::HoldReply => { prop_assert!(!held); held = true; }
                    DialogOutput::ResumeReply => { prop_assert!(held); held = false; }
                    DialogOutput::CancelReply => held = false,
                    DialogOutput::TurnEnded { turn: t, .. } => { turn += 1; prop_assert_eq!(t.0, turn); held = false; }
                    _ => {}
                }
            }
            if matches!(kind, 9) { held = false; }
            call.input(Input::Tick);
            if let Some(at) = call.dialog.wake_at() {
                prop_assert!(at > call.now, "wake at {at:?}, now {:?}", call.now);
            }
            call.take().iter().for_each(|o| match o { DialogOutput::CancelReply | DialogOutput::ResumeReply => held = false, _ => {} });
        }
    }
}
