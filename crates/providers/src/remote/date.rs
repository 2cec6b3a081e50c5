//! Dates with times in headers, as seconds since 1970.

/// Days from 1 March of the year 0 to 1970.
const TO_1970: u64 = 719_468;
/// The names of the months in HTTP.
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The format of HTTP, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
pub(super) fn http(text: &str) -> Option<u64> {
    let mut words = text.split_ascii_whitespace().skip(1);
    let day = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = 1 + MONTHS.iter().position(|name| *name == month)? as u64;
    let year = words.next()?.parse().ok()?;
    seconds([year, month, day], words.next()?)
}

/// The format `1994-11-06T08:49:37Z` (RFC 3339). Fractions of a second are ignored.
pub(super) fn rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut numbers = date.split('-').map(|number| number.parse().ok());
    let date = [numbers.next()??, numbers.next()??, numbers.next()??];
    seconds(date, time.split('.').next()?)
}

/// Seconds since 1970. Days are counted as in Howard Hinnant's `days_from_civil`
/// ("chrono-compatible low-level date algorithms").
fn seconds([year, month, day]: [u64; 3], time: &str) -> Option<u64> {
    let mut numbers = time.split(':').map(|number| number.parse::<u64>().ok());
    let (hours, minutes, seconds) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let valid = (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !valid || hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    // The year begins in March, so that the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year;
    Some((days - TO_1970) * 86_400 + hours * 3_600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(http("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(rfc3339("1994-11-06T08:49:37Z"), Some(784_111_777));
        assert_eq!(rfc3339("2000-02-29T00:00:00.5Z"), Some(951_782_400));
        assert_eq!(rfc3339("1970-01-01T00:00:00Z"), Some(0));
        let none =
            ["", "soon", "1994-11-06", "1994-13-06T08:49:37Z", "0000-01-01T00:00:00Z", "1994-11-06T08:49Z"];
        assert!(none.iter().all(|text| rfc3339(text).is_none() && http(text).is_none()));
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "\\PC{0,30}", numbers: [u64; 6]) {
            let [a, b, c, d, e, f] = numbers;
            let _ = (http(&text), rfc3339(&text), rfc3339(&format!("{a}-{b}-{c}T{d}:{e}:{f}Z")));
        }
    }
}
