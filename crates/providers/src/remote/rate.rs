//! Rate limits and requested waits in the headers of a server's answers.

use std::time::Duration;

use antiphon_core::RateLimit;
use reqwest::header::HeaderMap;

use super::date;

/// The longest wait that is accepted; longer ones are taken for mistakes.
const LONGEST: Duration = Duration::from_hours(1);

/// How long the server asks us to wait.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let milliseconds = || Some(Duration::from_secs_f64(number(headers, "retry-after-ms")? / 1_000.0));
    let seconds = || Some(Duration::from_secs_f64(number(headers, "retry-after")?));
    milliseconds().or_else(seconds).map(limited)
}

/// The wait, limited to [`LONGEST`].
pub(super) fn limited(wait: Duration) -> Duration {
    wait.min(LONGEST)
}

/// The limit on requests in the headers of OpenAI, of servers with OpenAI's API, and of Anthropic.
pub(super) fn limit(headers: &HeaderMap) -> Option<RateLimit> {
    let families =
        ["x-ratelimit-{}-requests", "anthropic-ratelimit-requests-{}", "x-ratelimit-{}", "ratelimit-{}"];
    families.iter().find_map(|family| {
        let text = |what: &str| headers.get(family.replace("{}", what))?.to_str().ok();
        let remaining = text("remaining")?.trim().parse().ok()?;
        let reset = text("reset")?.trim();
        let reset = limited(span(reset).or_else(|| until(headers, reset))?);
        let limit = text("limit").and_then(|limit| limit.trim().parse().ok());
        Some(RateLimit { remaining, reset, limit })
    })
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    let number: f64 = headers.get(name)?.to_str().ok()?.trim().parse().ok()?;
    (number.is_finite() && (0.0..1e6).contains(&number)).then_some(number)
}

/// The time until a point in time, which Anthropic sends. It is measured by the server's clock in the header `date`.
fn until(headers: &HeaderMap, time: &str) -> Option<Duration> {
    let now = date::http(headers.get("date")?.to_str().ok()?)?;
    Some(Duration::from_secs(date::rfc3339(time)?.saturating_sub(now)))
}

/// A span such as `1s`, `6m0s`, `20ms` or `1h2m3.5s`, or a number of seconds.
pub(super) fn span(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.is_finite() && (0.0..1e6).contains(&seconds))
            .then(|| Duration::from_secs_f64(seconds));
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        seconds += number
            * match &rest[digits..unit] {
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    (0.0..1e6).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_read_as_servers_write_them() {
        let ms = |text| span(text).map(|span| span.as_millis());
        let texts = ["1s", "6m0s", "20ms", "1h2m3.5s", "0.5", "2026-11-21T10:00:00Z", "", "soon", "m", "-1"];
        let read = [
            Some(1_000),
            Some(360_000),
            Some(20),
            Some(3_723_500),
            Some(500),
            None,
            Some(0),
            None,
            None,
            None,
        ];
        assert_eq!(texts.map(ms), read);
    }

    #[test]
    fn times_of_day_are_read_by_the_servers_own_clock() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2026-11-21T10:00:30Z"),
            ("date", "Sat, 21 Nov 2026 09:59:58 GMT"),
        ] {
            headers.insert(name, value.parse().expect("a header"));
        }
        let limit = RateLimit { remaining: 49, reset: Duration::from_secs(32), limit: Some(50) };
        assert_eq!(super::limit(&headers), Some(limit));
        headers.remove("date");
        assert_eq!(super::limit(&headers), None, "no clock, no span");
    }

    proptest! {
        #[test]
        fn any_header_is_taken(text in "\\PC{0,20}") {
            let _ = span(&text);
        }
    }
}
