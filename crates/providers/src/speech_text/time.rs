//! Times of day.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::pattern::{Around, group, pattern, replace, replace_in_context};
use super::words::cardinal;

/// The half of the day, in all the forms in which it is written.
const HALF: &str = r"(?<half>[aApP])(?:\.\s?[mM]\.|[mM]\b\.?)";

static CLOCK: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"\b(?<hour>[01]?\d|2[0-4]):(?<minute>[0-5]\d)(?::(?<second>[0-5]\d)(?:\.\d{{1,9}})?)?(?:Z\b|\s?{HALF}|\s?(?<hours>hrs?\b\.?|h\b)|\b)"
    ))
});
static HOUR: LazyLock<Regex> = LazyLock::new(|| pattern(&format!(r"\b(?<hour>1[0-2]|0?[1-9])\s?{HALF}")));
/// The first of two hours, whose half is said with the second: "9-11 am".
static FROM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"\b(?<from>1[0-2]|0?[1-9])(?::(?<minute>[0-5]\d))?(?<first>\s?[aApP]\.?[mM]\b\.?)?\s?[-–—]\s?(?<to>(?:1[0-2]|0?[1-9])(?::[0-5]\d)?\s?){HALF}"
    ))
});
/// Two times on a clock: "10:30-11:45".
static CLOCKS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"\b(?<from>(?:[01]?\d|2[0-4]):[0-5]\d)\s?[-–—]\s?(?<to>(?:[01]?\d|2[0-4]):[0-5]\d)\b")
});
/// Minutes and seconds, which are no time of day: "24:30".
static MINUTES: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<minutes>2[5-9]|[3-5]\d|24):(?<seconds>0[1-9]|[1-5]\d|[0-5][1-9])\b"));
static LONE_HALF: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(?<half>[aApP])\.\s?[mM]\."));
/// Military time: "1430 hours".
static MILITARY: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<hour>[01]\d|2[0-3])(?<minute>[0-5]\d)\s(?<hours>hours|hrs)\b"));

/// Words that say that two numbers with a colon are a ratio.
const RATIOS: [&str; 6] = ["ratio", "odds", "scale", "score", "mix", "ratios"];

/// Replaces times by words.
pub(super) fn say(text: String) -> String {
    let text = replace(text, &FROM, |found| {
        let from = match group(found, "minute") {
            "" => cardinal(group(found, "from").parse().ok()?),
            minute => {
                format!("{}{}", cardinal(group(found, "from").parse().ok()?), minutes(minute.parse().ok()?))
            }
        };
        let first = match group(found, "first").trim().chars().next() {
            None => String::new(),
            Some(letter) => format!(" {} M", letter.to_ascii_uppercase()),
        };
        let dot = if found[0].ends_with('.') { "." } else { "" };
        Some(format!("{from}{first} to {}{}m{dot}", group(found, "to"), group(found, "half")))
    });
    let text =
        replace(text, &CLOCKS, |found| Some(format!("{} to {}", group(found, "from"), group(found, "to"))));
    let text = replace_in_context(text, &MINUTES, |found, around| {
        if around.char_before() == Some(':') || around.char_after() == Some(':') {
            return None;
        }
        let rest = minutes(group(found, "seconds").parse().ok()?);
        Some(format!("{}{rest}", cardinal(group(found, "minutes").parse().ok()?)))
    });
    let text = replace_in_context(text, &CLOCK, clock);
    let text = replace_in_context(text, &HOUR, |found, around| {
        let hour = group(found, "hour").parse().ok()?;
        let part = around.char_before().is_some_and(|c| "$€£.,:".contains(c));
        (!part).then(|| Some(format!("{} {}", cardinal(hour), half(found, around)?)))?
    });
    let text = replace_in_context(text, &LONE_HALF, half);
    replace(text, &MILITARY, |found| {
        let (hour, minute): (u64, u64) =
            (group(found, "hour").parse().ok()?, group(found, "minute").parse().ok()?);
        Some(format!("{} {}", twenty_four_hours(hour, minute), group(found, "hours").replace("hrs", "hours")))
    })
}

fn twenty_four_hours(hour: u64, minute: u64) -> String {
    let zero = if hour < 10 { "zero " } else { "" };
    let rest = if minute == 0 { " hundred".to_owned() } else { minutes(minute) };
    format!("{zero}{}{rest}", cardinal(hour))
}

fn half(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let letter = group(found, "half").chars().next()?.to_ascii_uppercase();
    // The full stop of "p.m." may end the sentence as well.
    let ends = found[0].ends_with('.') && around.ends_sentence();
    Some(if ends { format!("{letter} M.") } else { format!("{letter} M") })
}

fn minutes(minute: u64) -> String {
    match minute {
        0 => String::new(),
        1..=9 => format!(" oh {}", cardinal(minute)),
        _ => format!(" {}", cardinal(minute)),
    }
}

fn clock(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let hour: u64 = group(found, "hour").parse().ok()?;
    let minute: u64 = group(found, "minute").parse().ok()?;
    let ratio = RATIOS.contains(&around.word_after(0))
        || (0..2).any(|skip| RATIOS.contains(&around.word_before(skip).to_lowercase().as_str()));
    if ratio || around.char_before().is_some_and(|c| ":.,".contains(c)) || around.char_after() == Some(':') {
        return None;
    }
    let second = match group(found, "second").parse() {
        Ok(0) | Err(_) => String::new(),
        Ok(1) => " and one second".to_owned(),
        Ok(n) => format!(" and {} seconds", cardinal(n)),
    };
    let rest = minutes(minute);
    let twelve = |hour| if hour % 12 == 0 { 12 } else { hour % 12 };
    let leading_zero = group(found, "hour").starts_with('0');
    if !group(found, "hours").is_empty() {
        return Some(format!("{} hours", twenty_four_hours(hour, minute)));
    }
    Some(match (half(found, around), hour, minute) {
        (Some(half), ..) => format!("{}{rest}{second} {half}", cardinal(hour)),
        (None, 0 | 24, 0) if second.is_empty() => "midnight".to_owned(),
        (None, 1..=12, 0) if !leading_zero && second.is_empty() => {
            let named = around.rest().trim_start().starts_with("o'clock");
            format!("{}{}", cardinal(hour), if named { "" } else { " o'clock" })
        }
        (None, 1..=12, _) if !leading_zero => format!("{}{rest}{second}", cardinal(hour)),
        (None, 0..=11 | 24, _) => format!("{}{rest}{second} A M", cardinal(twelve(hour))),
        (None, ..) => format!("{}{rest}{second} P M", cardinal(twelve(hour))),
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
            ("10 a.m. sharp", "ten A M sharp"),
            ("at 5 p.m. Then", "at five P M. Then"),
            ("by 5 p.m.", "by five P M."),
            ("a ratio of 3:1, a ratio of 1:10", "a ratio of 3:1, a ratio of 1:10"),
            ("I am 5", "I am 5"),
            ("9-11 am, 9am–5pm", "nine to eleven A M, nine A M to five P M"),
            ("10:30-11:45", "ten thirty to eleven forty-five"),
            ("12:05:30", "twelve oh five and thirty seconds"),
            ("in 24:30 or 45:05", "in twenty-four thirty or forty-five oh five"),
            ("0830 hours", "zero eight thirty hours"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
