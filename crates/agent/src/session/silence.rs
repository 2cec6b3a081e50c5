//! No dead air: while a reply is owed, somebody speaks, or the reply fails.
//!
//! A model that is late or slow is bridged by what the agent says while it waits; where it has nothing to say, as over Realtime, where
//! clients decide that, the reply fails. What the model has written of a clause is spoken when no more of it comes. A model that
//! fails is followed by an apology, which asks the person to say it again.

use std::time::Duration;

use antiphon_core::dialog::Phase;
use antiphon_core::{Error, ErrorKind, Priority, Result};
use tokio::time::Instant;

use super::Session;
use crate::reply::{Reply, ReplyPart, STALLED};

/// How much silence a person hears before the agent bridges it. Somebody is to speak within two seconds; the rest is for the voice.
const QUIET: Duration = Duration::from_millis(1_400);
/// How much longer a voice is waited for that has been given something to say.
const VOICE: Duration = Duration::from_millis(400);
/// How much silence a person hears before words are spoken whose clause is not complete.
const UNFINISHED: Duration = Duration::from_millis(1_200);
/// How long such words are waited for at least, so that a model that is only late at first does not begin with a single word.
const GATHERED: Duration = Duration::from_millis(500);

/// What is to be done about a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// Speak the words whose clause is not complete.
    SpeakUnfinished,
    /// Say that it takes a moment.
    Bridge,
    /// Fail the reply.
    GiveUp,
}

impl Session {
    /// When the silence is to be ended, if nothing is heard before.
    pub(super) fn silence_due(&self) -> Option<Instant> {
        self.remedy().map(|(at, _)| at)
    }

    /// Ends a silence that has lasted too long.
    pub(super) fn end_silence(&mut self, now: Instant) {
        let Some((_, remedy)) = self.remedy().filter(|(at, _)| now >= *at) else { return };
        match remedy {
            Remedy::SpeakUnfinished => {
                if let Some(active) = &mut self.reply {
                    active.note("the language model writes more slowly than one speaks");
                    if let Some(reply) = &mut active.reply {
                        reply.speak_unfinished();
                    }
                }
            }
            Remedy::Bridge => self.bridge(),
            Remedy::GiveUp => {
                let patience = self.config.model.patience.as_secs_f32();
                let message = format!("the language model was silent for {patience} s");
                self.reply_on(Some(Err(Error::new(ErrorKind::Timeout, message))));
            }
        }
    }

    /// The next thing to do about the silence, and when.
    fn remedy(&self) -> Option<(Instant, Remedy)> {
        let active = self.reply.as_ref().filter(|active| active.generated && !active.is_made())?;
        let is_held = self.dialog.phase() == Phase::Interrupted;
        if is_held || active.filler.is_some() || !self.makes_audio() {
            return None;
        }
        let since = self.playback.ends_at().map_or(active.waited_since, |end| end.max(active.waited_since));
        let reply = active.reply.as_ref();
        let waits = reply.is_some_and(Reply::waits_for_model);
        let unfinished = reply.and_then(Reply::unspoken_since);
        let speak =
            unfinished.map(|came| ((since + UNFINISHED).max(came + GATHERED), Remedy::SpeakUnfinished));
        let otherwise = if self.config.sayings.waiting.is_empty() {
            let patience = self.config.model.patience;
            waits.then(|| (since.max(active.latest) + patience, Remedy::GiveUp))
        } else {
            let voice = if waits || reply.is_none() { Duration::ZERO } else { VOICE };
            active.is_spoken().then(|| (since + QUIET + voice, Remedy::Bridge))
        };
        [speak, otherwise].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Says that it takes a moment.
    fn bridge(&mut self) {
        let texts = &self.config.sayings.waiting;
        let Some(active) = &self.reply else { return };
        let Some(text) = texts.get(active.bridged % texts.len().max(1)) else { return };
        let filler = self.asking().say(text, Priority::LiveTurn);
        if let Some(active) = &mut self.reply {
            active.filler = Some(filler);
            active.bridged += 1;
            // A voice that fails is not asked again at once.
            active.waited_since = Instant::now();
            active.note("nothing was to be heard for longer than people wait");
        }
    }

    /// A part of what bridges a silence has come.
    pub(super) fn bridge_on(&mut self, part: Option<Result<ReplyPart>>) {
        let Some(active) = &mut self.reply else { return };
        match part {
            Some(Ok(ReplyPart::Audio(chunk))) => self.playback.fill(&chunk),
            Some(Ok(ReplyPart::Done { .. }) | Err(_)) | None => active.filler = None,
            Some(Ok(_)) => {}
        }
    }

    /// How long a reply outside the conversation may stand still.
    pub(super) fn patience_aside(&self) -> Duration {
        if self.config.sayings.waiting.is_empty() { self.config.model.patience } else { STALLED }
    }
}
