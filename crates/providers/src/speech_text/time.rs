//! How times of day are spoken.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::pattern::{group, pattern, replace};
use super::words::cardinal;

static CLOCK: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<hour>[01]?\d|2[0-3]):(?<minute>[0-5]\d)(?::[0-5]\d)?(?:Z\b|\s?(?<half>[aApP])(?:\.[mM]\.|[mM]\b)|\b)",
    )
});
static HOUR: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<hour>1[0-2]|0?[1-9])\s?(?<half>[aApP])(?:\.[mM]\.|[mM]\b)"));
static LONE_HALF: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(?<half>[aApP])\.[mM]\."));

/// Replaces times by words. Seconds are left out, as nobody says them.
pub(super) fn say(text: String) -> String {
    let text = replace(text, &CLOCK, clock);
    let text = replace(text, &HOUR, |found| {
        let hour = group(found, "hour").parse().ok()?;
        Some(format!("{} {}", cardinal(hour), half(found)?))
    });
    replace(text, &LONE_HALF, half)
}

fn half(found: &Captures<'_>) -> Option<String> {
    let letter = group(found, "half").chars().next()?.to_ascii_uppercase();
    // The full stop is kept, because that of "p.m." may end the sentence as well.
    Some(if found[0].ends_with('.') { format!("{letter} M.") } else { format!("{letter} M") })
}

fn clock(found: &Captures<'_>) -> Option<String> {
    let hour: u64 = group(found, "hour").parse().ok()?;
    let minute: u64 = group(found, "minute").parse().ok()?;
    let half = half(found);
    let minutes = match minute {
        0 => String::new(),
        1..=9 => format!(" oh {}", cardinal(minute)),
        _ => format!(" {}", cardinal(minute)),
    };
    Some(match (half, hour, minute) {
        (Some(half), ..) => format!("{}{minutes} {half}", cardinal(hour)),
        (None, 0, 0) => "midnight".to_owned(),
        (None, 1..=12, 0) if !group(found, "hour").starts_with('0') => format!("{} o'clock", cardinal(hour)),
        (None, 1..=12, _) if !group(found, "hour").starts_with('0') => format!("{}{minutes}", cardinal(hour)),
        (None, 0..=11, _) => format!("{}{minutes} A M", cardinal(if hour == 0 { 12 } else { hour })),
        (None, ..) => format!("{}{minutes} P M", cardinal(if hour == 12 { 12 } else { hour - 12 })),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_spoken() {
        for (written, said) in [
            ("at 3:30pm", "at three thirty P M"),
            ("at 3:30 PM,", "at three thirty P M,"),
            ("at 15:00", "at three P M"),
            ("at 09:05", "at nine oh five A M"),
            ("at 7:00", "at seven o'clock"),
            ("7am", "seven A M"),
            ("00:00", "midnight"),
            ("00:15", "twelve fifteen A M"),
            ("10 a.m. sharp", "ten A M. sharp"),
            ("a ratio of 3:1", "a ratio of 3:1"),
            ("I am 5", "I am 5"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
