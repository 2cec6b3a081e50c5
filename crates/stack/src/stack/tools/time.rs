//! The tool that tells the time and date, because language models know neither.

use antiphon_core::{BoxFuture, Error, Result, Tool, ToolAnswer, ToolCaller};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::json;

use super::ServerTool;

/// Tells the time and date, in the server's time zone or in one that the model names.
pub(super) struct Time;

#[derive(Default, Deserialize)]
struct Arguments {
    timezone: Option<String>,
}

impl Time {
    pub(super) const NAME: &'static str = "time";
}

impl ServerTool for Time {
    fn describe(&self) -> Tool {
        Tool {
            name: Self::NAME.to_owned(),
            description: "Tells the present time, date and weekday.".to_owned(),
            parameters: json!({
                "type": "object",
                "properties": { "timezone": {
                    "type": "string",
                    "description": "An IANA time zone such as Europe/Berlin. Leave it out for local time.",
                }},
            }),
        }
    }

    fn run(&self, _: &ToolCaller, arguments: &str) -> BoxFuture<'static, Result<ToolAnswer>> {
        Box::pin(std::future::ready(tell(Timestamp::now(), arguments)))
    }
}

/// The answer at the time `now`. Models often write nothing at all instead of empty arguments, so that is accepted.
fn tell(now: Timestamp, arguments: &str) -> Result<ToolAnswer> {
    let Arguments { timezone } = match arguments.trim() {
        "" => Arguments::default(),
        json => serde_json::from_str(json)
            .map_err(|error| Error::invalid(format!("the arguments are not as described: {error}")))?,
    };
    let zone = match timezone.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
        None => TimeZone::system(),
        Some(name) => TimeZone::get(name).map_err(|_| {
            Error::invalid(format!("'{name}' is no IANA time zone: give one such as Europe/Berlin, or none"))
        })?,
    };
    let there = now.to_zoned(zone);
    let shown = json!({
        "time": there.strftime("%H:%M").to_string(),
        "date": there.strftime("%Y-%m-%d").to_string(),
        "weekday": there.strftime("%A").to_string(),
        "timezone": there.strftime("%Q").to_string(),
    });
    Ok(ToolAnswer::text(shown.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn told(arguments: &str) -> Result<Value> {
        let now: Timestamp = "2026-11-27T23:30:00Z".parse().expect("a time");
        tell(now, arguments).map(|answer| serde_json::from_str(&answer.text).expect("JSON"))
    }

    #[test]
    fn the_time_is_told_where_it_is_asked_for() {
        let berlin = told(r#"{"timezone": "Europe/Berlin"}"#).expect("known");
        let expected = json!({
            "time": "00:30", "date": "2026-11-28", "weekday": "Saturday", "timezone": "Europe/Berlin",
        });
        assert_eq!(berlin, expected);
        let kolkata = told(r#"{"timezone": "Asia/Kolkata"}"#).expect("known");
        assert_eq!(kolkata["time"], "05:00");
    }

    #[test]
    fn without_a_zone_the_servers_own_is_meant() {
        for arguments in ["", "{}", r#"{"timezone": null}"#, r#"{"timezone": " "}"#] {
            assert!(told(arguments).expect("told")["weekday"].is_string(), "{arguments}");
        }
    }

    #[test]
    fn a_zone_that_is_none_is_said_to_be_none() {
        let error = told(r#"{"timezone": "Mars/Olympus"}"#).expect_err("refused").to_string();
        assert!(error.contains("Mars/Olympus"), "{error}");
        assert!(told("[1").is_err());
    }
}
