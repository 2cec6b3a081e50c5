//! The turn-taking machine: who has the floor, decided from voice activity, transcripts and time alone.
//!
//! Sans-IO: [`Dialog::handle`] takes what happened and when, [`Dialog::poll`] gives what to do,
//! [`Dialog::wake_at`] says when to come back with [`Input::Tick`]. Two small machines run side by side:
//!
//! ```text
//! person:  Silent -> Speaking -> Paused -> (turn ended) Silent
//!                        ^---------'  goes on
//! agent:   Idle -> Thinking -> Speaking -> Idle
//!                      '--> Held <--'   the person makes a sound: resumed after a back-channel, else cancelled
//! ```

mod backchannel;
mod bare_words;
mod config;
pub mod pause;
mod repetition;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

pub use backchannel::is_backchannel;
pub use config::{BargeIn, EndOfTurn, TurnConfig};
pub use repetition::repeats;

use crate::{MediaTime, TurnId};
use pause::{Cues, Expected, Pace};

/// The turn detector's answer above which a second opinion is not worth its time: the threshold on its model card.
const COMPLETE: f32 = 0.5;
/// A first "unfinished" is worth a second opinion once more silence is in the window; each costs one
/// model run of 30 to 50 ms, so there is no third.
const ASK_AGAIN: Duration = Duration::from_millis(400);

/// What happened in a call, as far as the dialog must know it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input<'a> {
    /// The voice activity detector judged the audio up to now: 0 to 1.
    Voice(f32),
    /// The turn detector answered [`DialogOutput::AskTurn`] for this pause: 0 to 1.
    TurnScore(PauseId, f32),
    /// The utterance so far; `flushed` when it covers all audio up to the last pause.
    Transcript {
        /// All text of the utterance.
        text: &'a str,
        /// Whether it answers the flush that [`DialogOutput::SpeechPaused`] asked for.
        flushed: bool,
    },
    /// Speech recognition has failed: no words will come for this pause.
    Unheard,
    /// The person ended the turn by hand.
    Commit,
    /// The person pressed a key, perhaps one of several. The turn follows as [`Input::Typed`] once all of them are known.
    KeyPressed,
    /// The person wrote instead of speaking: a turn at once, which is answered whatever is being said.
    Typed,
    /// The person's utterance is to be forgotten.
    Clear,
    /// The agent was asked to speak without a spoken turn: a greeting, a typed turn, a client's request.
    ReplyRequested,
    /// The first audio of the reply goes out.
    ReplyStarted,
    /// The reply was played to its end, or came to nothing, or was cancelled from outside.
    ReplyFinished,
    /// Nothing but time has passed; a timeout may be due.
    Tick,
}

/// Counts pauses, so that a late answer about an earlier one is known to be stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PauseId(u32);

/// What the session is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialogOutput {
    /// Speech began at `at`: start a transcription there (with some audio before).
    SpeechStarted {
        /// Where the voice set in.
        at: MediaTime,
    },
    /// Speech paused: flush the transcript; a reply may be prepared from it but not played.
    SpeechPaused {
        /// Where the silence began.
        at: MediaTime,
    },
    /// Ask the turn detector about the audio up to now.
    AskTurn(PauseId),
    /// The person goes on: throw away what was prepared.
    SpeechResumed,
    /// The person's turn is over.
    TurnEnded {
        /// The number of the turn that is over.
        turn: TurnId,
        /// Where the person's speech ended.
        speech_end: MediaTime,
        /// Whether a reply is due now.
        respond: bool,
    },
    /// What was heard was no speech, or a back-channel: forget the utterance.
    UtteranceDropped,
    /// Stop the reply's audio at once, but keep the rest.
    HoldReply,
    /// False alarm: go on with the reply where it stopped.
    ResumeReply,
    /// The person took the floor: drop the reply.
    CancelReply,
    /// The person has been silent for long: say something. Counts from 1.
    Reprompt(u32),
    /// The person does not come back: say goodbye and hang up.
    Goodbye,
}

/// Who has the floor, for display and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody speaks; the person is listened to, or speaks.
    Listening,
    /// The person paused, perhaps for good.
    PossibleEnd,
    /// The turn is over, the reply has not begun.
    Thinking,
    /// The agent's reply is being played.
    Speaking,
    /// The agent was cut off by a sound and waits to see what it is.
    Interrupted,
}

impl Phase {
    /// As clients and pages know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listening => "listening",
            Self::PossibleEnd => "possible_end",
            Self::Thinking => "thinking",
            Self::Speaking => "speaking",
            Self::Interrupted => "interrupted",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Person {
    Silent,
    Speaking {
        since: MediaTime,
        /// Where the present run of silence began, if in one.
        silent_from: Option<MediaTime>,
    },
    Paused {
        since: MediaTime,
        silent_from: MediaTime,
        /// The turn detector's highest answer so far.
        score: Option<f32>,
        /// When to ask it (again).
        ask_at: Option<MediaTime>,
        /// What the flushed transcript of this pause says.
        words: Option<Cues>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Agent {
    Idle { since: Option<MediaTime> },
    Thinking,
    Speaking,
    Held { was_speaking: bool },
}

/// The machine of one call.
#[derive(Debug)]
pub struct Dialog {
    config: TurnConfig,
    person: Person,
    agent: Agent,
    /// Where the present run of voice began, before it counts as speech.
    onset: Option<MediaTime>,
    last_voice: MediaTime,
    turn: TurnId,
    pause: PauseId,
    reprompts: u32,
    /// The pauses of this speaker so far.
    pace: Pace,
    expected: Expected,
    outputs: VecDeque<DialogOutput>,
}

impl Dialog {
    /// A call in which nobody has spoken yet.
    pub fn new(config: TurnConfig) -> Self {
        Self {
            config,
            person: Person::Silent,
            agent: Agent::Idle { since: None },
            onset: None,
            last_voice: MediaTime::ZERO,
            turn: TurnId::default(),
            pause: PauseId::default(),
            reprompts: 0,
            pace: Pace::default(),
            expected: Expected::Anything,
            outputs: VecDeque::new(),
        }
    }

    /// Tells what the agent has asked for, until it is told something else.
    pub fn expect(&mut self, expected: Expected) {
        self.expected = expected;
    }

    /// Changes the rules from now on.
    pub fn configure(&mut self, config: TurnConfig) {
        self.config = config;
    }

    /// The rules in force.
    pub fn config(&self) -> &TurnConfig {
        &self.config
    }

    /// The person's latest ended turn; 0 before the first.
    pub fn turn(&self) -> TurnId {
        self.turn
    }

    /// Who has the floor.
    pub fn phase(&self) -> Phase {
        match (self.agent, self.person) {
            (Agent::Held { .. }, _) => Phase::Interrupted,
            (Agent::Speaking, _) => Phase::Speaking,
            (Agent::Thinking, _) => Phase::Thinking,
            (Agent::Idle { .. }, Person::Paused { .. }) => Phase::PossibleEnd,
            (Agent::Idle { .. }, _) => Phase::Listening,
        }
    }

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<DialogOutput> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due, if nothing else happens first.
    pub fn wake_at(&self) -> Option<MediaTime> {
        let person = match self.person {
            Person::Silent => None,
            Person::Speaking { since, silent_from } => {
                let forced = since + self.config.max_turn;
                Some(silent_from.map_or(forced, |from| forced.min(from + self.config.speculate)))
            }
            Person::Paused { silent_from, score, ask_at, words, .. } => {
                let deadline = self.deadline(silent_from, score, words);
                [deadline, ask_at].into_iter().flatten().min()
            }
        };
        [person, self.reprompt_at()].into_iter().flatten().min()
    }

    /// Takes what happened at `now`. `now` never goes back.
    pub fn handle(&mut self, input: Input<'_>, now: MediaTime) {
        match input {
            Input::Voice(probability) => self.voice(probability, now),
            Input::TurnScore(pause, complete) => self.turn_score(pause, complete),
            Input::Transcript { text, flushed } => self.transcript(text, flushed, now),
            Input::Unheard => self.unheard(),
            Input::Commit => self.end_turn(now),
            Input::KeyPressed => self.key_pressed(),
            Input::Typed => self.typed(now),
            Input::Clear => self.clear(now),
            Input::ReplyRequested => {
                if matches!(self.agent, Agent::Idle { .. }) {
                    self.agent = Agent::Thinking;
                }
            }
            Input::ReplyStarted => match &mut self.agent {
                Agent::Held { was_speaking } => *was_speaking = true,
                agent => *agent = Agent::Speaking,
            },
            Input::ReplyFinished => self.agent = Agent::Idle { since: Some(now) },
            Input::Tick => {}
        }
        self.advance(now);
    }

    fn voice(&mut self, probability: f32, now: MediaTime) {
        // Hysteresis as in Silero's own iterator: speech ends 0.15 below the threshold it begins at.
        const HYSTERESIS: f32 = 0.15;
        let window_start = self.last_voice;
        self.last_voice = now;
        if probability >= self.config.threshold {
            self.onset.get_or_insert(window_start);
            if let Person::Speaking { silent_from, .. } = &mut self.person {
                *silent_from = None;
            }
        } else if probability < self.config.threshold - HYSTERESIS {
            self.onset = None;
            if let Person::Speaking { silent_from, .. } = &mut self.person {
                silent_from.get_or_insert(window_start);
            }
        }
        let Some(onset) = self.onset else { return };
        match self.person {
            Person::Silent if now - onset >= self.config.start => self.speech_started(onset),
            Person::Paused { since, silent_from, .. } if now - onset >= self.config.resume => {
                self.pace.paused(onset - silent_from);
                self.person = Person::Speaking { since, silent_from: None };
                self.outputs.push_back(DialogOutput::SpeechResumed);
            }
            _ => {}
        }
    }

    fn speech_started(&mut self, at: MediaTime) {
        self.person = Person::Speaking { since: at, silent_from: None };
        self.outputs.push_back(DialogOutput::SpeechStarted { at });
        match (self.agent, self.config.barge_in) {
            (Agent::Idle { .. } | Agent::Held { .. }, _) | (_, BargeIn::Off) => {}
            (Agent::Thinking | Agent::Speaking, BargeIn::AtOnce) => self.cancel_reply(),
            (agent, BargeIn::Grace(_)) => {
                self.agent = Agent::Held { was_speaking: agent == Agent::Speaking };
                self.outputs.push_back(DialogOutput::HoldReply);
            }
        }
    }

    fn turn_score(&mut self, of: PauseId, complete: f32) {
        if let Person::Paused { score, .. } = &mut self.person
            && of == self.pause
        {
            *score = Some(score.map_or(complete, |s| s.max(complete)));
        }
    }

    fn transcript(&mut self, text: &str, flushed: bool, now: MediaTime) {
        let expected = self.expected;
        if let Person::Paused { score, words, .. } = &mut self.person
            && flushed
        {
            *words = Some(Cues::new(*score, text, expected));
        }
        let wordless = !text.chars().any(char::is_alphanumeric);
        if matches!(self.agent, Agent::Held { .. }) {
            if !wordless && !is_backchannel(text) {
                self.cancel_reply();
            } else if flushed && matches!(self.person, Person::Paused { .. }) {
                self.drop_utterance(now);
            }
        }
    }

    fn unheard(&mut self) {
        if let Person::Paused { words, .. } = &mut self.person {
            *words = Some(Cues::unheard());
        }
    }

    fn clear(&mut self, now: MediaTime) {
        if self.person != Person::Silent {
            self.drop_utterance(now);
        }
    }

    /// Forgets what was heard; a held reply goes on.
    fn drop_utterance(&mut self, now: MediaTime) {
        self.person = Person::Silent;
        self.onset = None;
        self.outputs.push_back(DialogOutput::UtteranceDropped);
        match &mut self.agent {
            Agent::Held { was_speaking } => {
                self.agent = if *was_speaking { Agent::Speaking } else { Agent::Thinking };
                self.outputs.push_back(DialogOutput::ResumeReply);
            }
            Agent::Idle { since: Some(since) } => *since = now,
            _ => {}
        }
    }

    fn cancel_reply(&mut self) {
        self.agent = Agent::Idle { since: None };
        self.outputs.push_back(DialogOutput::CancelReply);
    }

    /// Ends the turn; it is answered if replies are wanted and the agent is silent.
    fn end_turn(&mut self, now: MediaTime) {
        let speech_end = match self.person {
            Person::Paused { silent_from, .. } | Person::Speaking { silent_from: Some(silent_from), .. } => {
                silent_from
            }
            _ => now,
        };
        if matches!(self.agent, Agent::Held { .. }) {
            self.cancel_reply();
        }
        self.person = Person::Silent;
        self.onset = None;
        let respond = self.config.respond && matches!(self.agent, Agent::Idle { .. });
        self.tell_turn(speech_end, respond);
    }

    /// Whoever types has the floor: the agent falls silent, and does not ask meanwhile whether anybody is there.
    fn key_pressed(&mut self) {
        match &mut self.agent {
            Agent::Idle { since } => *since = None,
            _ => self.cancel_reply(),
        }
    }

    /// Drops the reply to what came before and forgets what was being said: both have been overtaken.
    fn typed(&mut self, now: MediaTime) {
        if !matches!(self.agent, Agent::Idle { .. }) {
            self.cancel_reply();
        }
        self.clear(now);
        self.tell_turn(now, true);
    }

    fn tell_turn(&mut self, speech_end: MediaTime, respond: bool) {
        self.turn = self.turn.next();
        self.reprompts = 0;
        if respond {
            self.agent = Agent::Thinking;
        }
        self.outputs.push_back(DialogOutput::TurnEnded { turn: self.turn, speech_end, respond });
    }

    /// Everything that happens because time passed.
    fn advance(&mut self, now: MediaTime) {
        self.person_timers(now);
        self.barge_in_timer(now);
        if self.reprompt_at().is_some_and(|at| now >= at) {
            self.agent = Agent::Thinking;
            if self.reprompts < self.config.max_reprompts {
                self.reprompts += 1;
                self.outputs.push_back(DialogOutput::Reprompt(self.reprompts));
            } else {
                self.outputs.push_back(DialogOutput::Goodbye);
            }
        }
    }

    fn person_timers(&mut self, now: MediaTime) {
        match self.person {
            Person::Silent => {}
            Person::Speaking { since, silent_from: Some(from) } if now - from >= self.config.speculate => {
                self.pause = PauseId(self.pause.0 + 1);
                let asks = matches!(self.config.end, EndOfTurn::Smart { .. });
                self.person = Person::Paused {
                    since,
                    silent_from: from,
                    score: None,
                    ask_at: asks.then_some(now),
                    words: None,
                };
                self.outputs.push_back(DialogOutput::SpeechPaused { at: from });
                self.person_timers(now);
            }
            Person::Speaking { since, .. } => {
                if now - since >= self.config.max_turn {
                    self.end_turn(now);
                }
            }
            Person::Paused { silent_from, score, ask_at, words, .. } => {
                if ask_at.is_some_and(|at| now >= at) {
                    self.ask_turn(now);
                }
                if self.deadline(silent_from, score, words).is_some_and(|at| now >= at) {
                    if words.is_some_and(|words| words.is_wordless()) {
                        self.drop_utterance(now);
                    } else {
                        self.end_turn(now);
                    }
                }
            }
        }
    }

    fn ask_turn(&mut self, now: MediaTime) {
        if let Person::Paused { silent_from, ask_at, score, .. } = &mut self.person {
            if score.is_none_or(|s| s < COMPLETE) {
                self.outputs.push_back(DialogOutput::AskTurn(self.pause));
            }
            let is_first = now - *silent_from < ASK_AGAIN;
            *ask_at = is_first.then_some(now + ASK_AGAIN);
        }
    }

    /// A sound that lasts is an interruption, whatever it says.
    fn barge_in_timer(&mut self, now: MediaTime) {
        let (Agent::Held { .. }, BargeIn::Grace(grace)) = (self.agent, self.config.barge_in) else { return };
        if let Person::Speaking { since, silent_from: None } = self.person
            && now - since >= grace
        {
            self.cancel_reply();
        }
    }

    /// When the turn ends if the person stays silent.
    fn deadline(&self, silent_from: MediaTime, score: Option<f32>, words: Option<Cues>) -> Option<MediaTime> {
        match self.config.end {
            EndOfTurn::Manual => None,
            EndOfTurn::Silence(wait) => Some(silent_from + wait.max(self.config.speculate)),
            EndOfTurn::Smart { min, max, patience } => {
                // Without words nothing can be answered, so that their wait costs nothing.
                let wait = words.map_or(max, |words| {
                    let likelihood = words.with_sound(score).likelihood();
                    self.pace.wait(likelihood, patience).clamp(min, max)
                });
                Some(silent_from + wait.max(self.config.speculate))
            }
        }
    }

    fn reprompt_at(&self) -> Option<MediaTime> {
        match (self.agent, self.person, self.config.reprompt) {
            (Agent::Idle { since: Some(since) }, Person::Silent, Some(wait)) => Some(since + wait),
            _ => None,
        }
    }
}
