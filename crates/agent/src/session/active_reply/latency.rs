//! How long a turn took, told when its reply begins.

use std::time::Duration;

use antiphon_core::dialog::EndOfTurn;
use antiphon_core::{Event, Step, TurnId, TurnLatency};
use tokio::time::Instant;

use crate::reply::ReplyTimes;
use crate::session::Session;

impl Session {
    /// Reports the latency of the turn whose reply begins now.
    pub(super) fn tell_latency(&mut self, turn: TurnId, times: &ReplyTimes) {
        // The times are taken out, so that each turn is measured only once, by its first reply.
        if let (Some(speech_end), Some(turn_end)) = (self.times.speech_end.take(), self.times.turn_end.take())
        {
            let (stt, total) = (self.times.stt(), speech_end.elapsed());
            let end_of_turn = turn_end.saturating_duration_since(speech_end);
            let latency = TurnLatency {
                end_of_turn,
                stt,
                llm_ttft: times.llm_ttft(),
                tts_ttfb: times.tts_ttfb(),
                total,
                overhead: total.saturating_sub(self.unavoidable(end_of_turn, stt, times.made())),
            };
            let heard = self.times.transcribed.map(|(asked, answered)| ("stt", asked, answered));
            let steps =
                std::iter::once(("end_of_turn", speech_end, turn_end)).chain(heard).chain(times.steps());
            let since = |at: Instant| match at.checked_duration_since(speech_end) {
                Some(after) => after.as_micros() as i64,
                None => -(speech_end.duration_since(at).as_micros() as i64),
            };
            let step = |(name, from, to)| Step { name, start_us: since(from), end_us: since(to) };
            let steps = steps.map(step).collect();
            let from_cache = times.cache_hit();
            self.emit(Event::Latency { turn, latency, steps, from_cache });
            if let Some(context) = times.context() {
                self.emit(Event::TurnContext {
                    turn,
                    emotion: context.emotion,
                    steps: context.steps.clone(),
                });
            }
        }
    }

    /// The latency of a turn if only the engines and the configured silence took time. The reply is made during that
    /// silence, beginning in the pause in which it is started as a speculation.
    fn unavoidable(&self, end_of_turn: Duration, stt: Duration, made: Duration) -> Duration {
        let turns = self.dialog.config();
        let silence = match turns.end {
            EndOfTurn::Silence(silence) => silence.min(end_of_turn),
            // Where a detector decides, its time counts as that of an engine.
            EndOfTurn::Smart { .. } | EndOfTurn::Manual => end_of_turn,
        };
        let pause = if stt.is_zero() { Duration::ZERO } else { turns.speculate };
        silence.max(pause + stt + made)
    }
}
