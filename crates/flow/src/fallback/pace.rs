//! How fast a voice speaks, by which another voice finds the place in the clause where it has to go on.

use std::sync::Mutex;
use std::time::Duration;

use antiphon_core::{SpeechRequest, lock};

/// Clauses with fewer letters are not learned from: the pauses before and after weigh too much.
const MIN_LETTERS: usize = 10;
/// The weight of a new clause in the running average, which so follows about ten clauses, or half a minute of speech.
const WEIGHT: f32 = 0.2;

/// A voice's letters and digits a second at normal speed: a running average of complete clauses.
#[derive(Default)]
pub(super) struct Pace(Mutex<Option<f32>>);

impl Pace {
    /// Learns from a clause that took so long to say.
    pub(super) fn learn(&self, request: &SpeechRequest, took: Duration) {
        let letters = request.text.chars().filter(|c| c.is_alphanumeric()).count();
        if letters < MIN_LETTERS || took.is_zero() {
            return;
        }
        let pace = letters as f32 / took.as_secs_f32() / request.speed;
        let mut known = lock(&self.0);
        *known = Some(known.map_or(pace, |known| known + WEIGHT * (pace - known)));
    }

    /// `None` until a clause was learned from.
    pub(super) fn get(&self) -> Option<f32> {
        *lock(&self.0)
    }
}
