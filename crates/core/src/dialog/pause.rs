//! How likely it is that a pause ends the turn, and how long to wait in it.
//!
//! Neither the sound nor the words nor the length of a pause says by itself whether somebody has finished. A logistic regression weighs
//! them: it is small enough to be read, costs nothing, and was trained on recordings of which it is known where their speakers went on
//! (`cargo bench -p antiphon-server --bench turns -- train` prints [`WEIGHTS`] anew). While the silence lasts, that becomes ever more likely,
//! because few pauses within a turn are long. The turn ends when it is as likely as the patience asks for.

mod expected;
mod words;

use std::time::Duration;

pub use expected::Expected;
use words::WORD_CUES;

/// How many cues are weighed.
pub const CUES: usize = SOUND_CUES + WORD_CUES;
/// One that is always the same, and two of the sound.
const SOUND_CUES: usize = 3;

/// The weights of the cues, in the order of [`Cues::values`]. Trained on LibriSpeech test-other (CC-BY-4.0), the Free Spoken Digit Dataset
/// (CC-BY-SA-4.0), speechbrain's samples (Apache-2.0), and phrases of the embedded voice.
const WEIGHTS: [f32; CUES] = [
    -1.594, 0.115, -0.016, 0.521, -0.357, 0.242, -1.050, -0.165, 0.399, -0.552, 0.625, -0.999, -1.128,
    -0.181, -1.342, 1.022, 1.294, 1.429,
];

/// Half of the pauses within a turn are shorter than this, of a speaker of whom nothing is known yet: the median of those that the weights
/// were trained on.
const MEDIAN_PAUSE: Duration = Duration::from_millis(470);
/// How fast longer pauses become rarer: the shape of the log-logistic distribution that fits the lengths of the same pauses.
const SHAPE: f32 = 3.8;
/// As many pauses as a speaker's own count as much as what is known of all speakers.
const KNOWN_AFTER: f32 = 4.0;

/// Log odds beside which nothing else counts.
const CERTAIN: f32 = 20.0;

/// What is known of a pause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cues {
    values: [f32; CUES],
    /// What the agent has asked for, as a difference of log odds.
    expectation: f32,
}

impl Cues {
    /// `sound` is the turn detector's judgement, 0 to 1, if there is one; `text` is all that was said in the turn so far; `expected` is what
    /// the agent has asked for.
    pub fn new(sound: Option<f32>, text: &str, expected: Expected) -> Self {
        let mut values = [0.0; CUES];
        values[0] = 1.0;
        values[SOUND_CUES..].copy_from_slice(&words::cues(text));
        Self { values, expectation: words::expectation(text, expected) }.with_sound(sound)
    }

    /// Nothing will be understood of what was said: to wait for more of it gains nothing.
    pub fn unheard() -> Self {
        Self { values: [0.0; CUES], expectation: CERTAIN }
    }

    /// The same with the turn detector's judgement as it is now.
    #[must_use]
    pub fn with_sound(mut self, sound: Option<f32>) -> Self {
        let cue = sound_cue(sound);
        // The detector is the better judge of a few words.
        let is_short = self.values[SOUND_CUES] <= (words::FEW as f32).ln_1p();
        self.values[1] = cue;
        self.values[2] = if is_short { cue } else { 0.0 };
        self
    }

    /// Whether not one word was understood.
    pub fn is_wordless(&self) -> bool {
        self.values[SOUND_CUES + words::WORDLESS] > 0.0
    }

    /// The values, for training.
    pub fn values(&self) -> &[f32; CUES] {
        &self.values
    }

    /// How likely it is that the turn is over, 0 to 1, as soon as the pause is noticed.
    pub fn likelihood(&self) -> f32 {
        let sum: f32 = self.values.iter().zip(WEIGHTS).map(|(cue, weight)| cue * weight).sum();
        1.0 / (1.0 + (-sum - self.expectation).exp())
    }
}

/// The logarithm of the odds of the turn detector's judgement; even odds while there is none.
fn sound_cue(sound: Option<f32>) -> f32 {
    let sound = sound.unwrap_or(0.5).clamp(0.02, 0.98);
    (sound / (1.0 - sound)).ln()
}

/// How certain it must be that a turn is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// It answers fast, and interrupts more often.
    Low,
    /// In between.
    #[default]
    Normal,
    /// It lets people think.
    High,
}

impl Patience {
    /// The likelihood at which a turn is over. Points on the curve that `--bench turns -- train` prints.
    const fn certainty(self) -> f32 {
        match self {
            Self::Low => 0.70,
            Self::Normal => 0.80,
            Self::High => 0.90,
        }
    }
}

/// The pauses of one speaker within their turns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// The logarithm of their median, in seconds.
    middle: f32,
    pauses: f32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { middle: MEDIAN_PAUSE.as_secs_f32().ln(), pauses: 0.0 }
    }
}

impl Pace {
    /// The speaker went on after a pause of this length.
    pub fn paused(&mut self, length: Duration) {
        self.pauses += 1.0;
        let length = length.as_secs_f32().max(0.1).ln();
        self.middle += (length - self.middle) / (KNOWN_AFTER + self.pauses);
    }

    /// How long to wait in a pause that ends the turn with this likelihood.
    pub fn wait(&self, likelihood: f32, patience: Patience) -> Duration {
        self.wait_for(likelihood, patience.certainty())
    }

    /// The same for any certainty.
    pub fn wait_for(&self, likelihood: f32, certainty: f32) -> Duration {
        // By Bayes' rule the turn is over with this certainty once no more than this share of the pauses within turns lasts longer.
        let last = likelihood * (1.0 - certainty) / ((1.0 - likelihood) * certainty).max(f32::EPSILON);
        if last >= 1.0 {
            return Duration::ZERO;
        }
        let seconds = self.middle.exp() * (1.0 / last.max(1e-6) - 1.0).powf(1.0 / SHAPE);
        Duration::from_secs_f32(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS_PER_S: f32 = 1_000.0;

    fn waits(likelihood: f32, patience: Patience) -> f32 {
        Pace::default().wait(likelihood, patience).as_secs_f32() * MS_PER_S
    }

    #[test]
    fn the_less_certain_an_end_the_longer_it_waits() {
        let waits_at = |patience| [0.99, 0.9, 0.5, 0.1].map(|likelihood| waits(likelihood, patience));
        for patience in [Patience::Low, Patience::Normal, Patience::High] {
            assert!(waits_at(patience).is_sorted(), "{:?}", waits_at(patience));
        }
        assert!(waits(0.5, Patience::Low) < waits(0.5, Patience::Normal));
        assert!(waits(0.5, Patience::Normal) < waits(0.5, Patience::High));
        assert!(waits(0.999, Patience::Normal) < f32::EPSILON, "it is certain already");
    }

    fn after(sound: f32, text: &str, expected: Expected) -> f32 {
        waits(Cues::new(Some(sound), text, expected).likelihood(), Patience::Normal)
    }

    #[test]
    fn whole_answers_are_answered_at_once_and_open_ones_are_waited_for() {
        for text in ["Yes.", "No, thank you.", "That's right.", "Yes, please.", "Okay, thanks."] {
            assert!(
                after(0.9, text, Expected::Anything) <= 224.0,
                "{text}: {}",
                after(0.9, text, Expected::Anything)
            );
        }
        for text in ["I would like to", "My address is.", "My number is 555", "Because,", "I think, um,"] {
            assert!(
                after(0.6, text, Expected::Anything) >= 550.0,
                "{text}: {}",
                after(0.6, text, Expected::Anything)
            );
        }
    }

    #[test]
    fn a_value_that_was_asked_for_is_waited_for_until_it_is_whole() {
        let waits_for = |text| after(0.9, text, Expected::Value);
        assert!(waits_for("555, 123") > 1_000.0, "{}", waits_for("555, 123"));
        assert!(waits_for("twelve Baker Street.") > 1_000.0);
        assert!(waits_for("No, thanks.") <= 300.0, "{}", waits_for("No, thanks."));
        assert!(waits_for("555-123-4567.") <= 300.0, "{}", waits_for("555-123-4567."));
    }

    #[test]
    fn no_likelihood_waits_for_ever_or_panics() {
        for likelihood in [0.0, 1.0, f32::MIN_POSITIVE] {
            let wait = Pace::default().wait(likelihood, Patience::High);
            assert!(wait < Duration::from_mins(2), "{wait:?}");
        }
    }

    #[test]
    fn a_slow_speaker_is_waited_for_longer() {
        let (mut slow, mut fast) = (Pace::default(), Pace::default());
        for _ in 0..5 {
            slow.paused(Duration::from_millis(1_200));
            fast.paused(Duration::from_millis(220));
        }
        let [slow, usual, fast] = [slow, Pace::default(), fast].map(|pace| pace.wait(0.5, Patience::Normal));
        assert!(slow > usual && usual > fast, "{slow:?} {usual:?} {fast:?}");
    }
}
