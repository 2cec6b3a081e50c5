//! The keys that a person presses on a telephone: those pressed in one go are one turn.

use std::time::Duration;

use tokio::time::Instant;

/// A pause after which no further key is waited for, as in Pipecat's `DTMFAggregator` and Vapi's keypad input. People who read
/// a number from a card press a key every half a second.
const PAUSE: Duration = Duration::from_secs(2);
/// The key with which people end what they type, as telephone menus have taught them.
const END: char = '#';
/// Most keys of one turn: twice as many as the longest number that anybody is asked for, an IBAN of 34 characters. Keys never stop
/// coming where a line is broken.
const MAX_KEYS: usize = 68;

/// The keys of the turn that is being typed.
#[derive(Debug, Default)]
pub(crate) struct Keypad {
    keys: String,
    /// When the turn is over if no other key is pressed; `None` while no key was pressed.
    due: Option<Instant>,
}

impl Keypad {
    /// A key was pressed.
    pub(crate) fn press(&mut self, key: char, now: Instant) {
        let ends = key == END && !self.keys.is_empty();
        if !ends {
            self.keys.push(key);
        }
        let is_over = key == END || self.keys.len() >= MAX_KEYS;
        self.due = Some(if is_over { now } else { now + PAUSE });
    }

    /// When the turn is over if no other key is pressed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The keys of a turn that is over. The key that ended it is not one of them, unless it is the only one.
    pub(crate) fn take(&mut self, now: Instant) -> Option<String> {
        self.due.take_if(|due| now >= *due)?;
        Some(std::mem::take(&mut self.keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The turns that come of these keys, each pressed so many milliseconds after the one before.
    fn turns(keys: &str, gap: u64) -> Vec<String> {
        let (mut keypad, mut now, mut turns) = (Keypad::default(), Instant::now(), Vec::new());
        for key in keys.chars() {
            turns.extend(keypad.take(now));
            keypad.press(key, now);
            turns.extend(keypad.take(now));
            now += Duration::from_millis(gap);
        }
        turns.extend(keypad.due().and_then(|due| keypad.take(due)));
        turns
    }

    #[tokio::test(start_paused = true)]
    async fn keys_pressed_in_one_go_are_one_turn() {
        for gap in [0, 250, 1_200, 1_999] {
            assert_eq!(turns("4821#", gap), ["4821"], "{gap}");
            assert_eq!(turns("48*21", gap), ["48*21"], "{gap}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_and_the_end_key_separate_turns() {
        assert_eq!(turns("12", 2_000), ["1", "2"]);
        assert_eq!(turns("12#3#", 100), ["12", "3"]);
        assert_eq!(turns("#", 100), ["#"], "alone it is a key like any other");
        assert_eq!(turns("1##", 100), ["1", "#"]);
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_never_stop_are_turns_all_the_same() {
        assert_eq!(turns(&"1".repeat(150), 50).iter().map(String::len).collect::<Vec<_>>(), [68, 68, 14]);
    }
}
