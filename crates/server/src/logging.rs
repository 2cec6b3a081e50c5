//! The log on standard error: one line an event, whatever strangers sent.
//!
//! Events carry values that strangers choose, such as the encoding of a telephone call or the name of a file. None of them can begin
//! a line of its own or change what the terminal shows, long ones are cut, and a warning that repeats is counted.

mod repeats;
mod values;

use std::fmt;
use std::io::IsTerminal;
use std::sync::Mutex;

use antiphon_core::lock;
use antiphon_stack::config::Config;
use anyhow::Result;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, SubscriberBuilder};
use tracing_subscriber::registry::LookupSpan;

use repeats::{Repeats, WINDOW};
use values::{CleanFields, cut_json, identity};

/// The levels of the log, by the names that tracing has for them.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Starts logging as configured. `least` is the level for commands whose output people read.
pub(crate) fn start_logging(config: &Config, least: Option<&str>) -> Result<()> {
    let filter = log_filter(least.unwrap_or(&config.telemetry.log))?;
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = SubscriberBuilder::default().with_env_filter(filter).with_ansi(colours);
    let log = log.with_writer(std::io::stderr);
    let started = if config.telemetry.log_format == "json" {
        log.fmt_fields(JsonFields::new()).event_format(json()).try_init()
    } else {
        log.fmt_fields(CleanFields::default()).event_format(text(colours)).try_init()
    };
    started.map_err(|e| anyhow::anyhow!("cannot start logging: {e}"))
}

/// The filter of the log; an error says what it must be.
pub(crate) fn log_filter(directives: &str) -> Result<EnvFilter> {
    let refused = |what: &dyn fmt::Display| {
        anyhow::anyhow!(
            "[telemetry] log = \"{directives}\": {what}; give one of {}, or directives such as info,antiphon_cache=debug",
            LEVELS.join(", ")
        )
    };
    // The filter takes any other word for the name of a module, and then nothing is logged of all others.
    let is_word = !directives.is_empty() && directives.chars().all(|c| c.is_ascii_alphabetic());
    if is_word && !LEVELS.iter().any(|level| level.eq_ignore_ascii_case(directives)) {
        return Err(refused(&"that is no level"));
    }
    EnvFilter::try_new(directives).map_err(|e| refused(&e))
}

/// Lines for people.
fn text(colours: bool) -> OneLine<format::Format> {
    let with_count =
        |line: &str, count| format!("{line} (and {count} times more within {} s)", WINDOW.as_secs());
    OneLine {
        inner: format::format().with_ansi(colours),
        cut: |_| None,
        with_count,
        repeats: Mutex::default(),
    }
}

/// Lines for programs: a JSON object each.
fn json() -> OneLine<format::Format<format::Json>> {
    let inner = format::format().json().flatten_event(true).with_span_list(false);
    let with_count =
        |line: &str, count| format!("{},\"repeated\":{count}}}", line.strip_suffix('}').unwrap_or(line));
    OneLine { inner, cut: cut_json, with_count, repeats: Mutex::default() }
}

/// Writes an event as one line, and a warning or an error that repeats only once, with a count after a while.
struct OneLine<E> {
    inner: E,
    /// Cuts long values in a line, if there are any.
    cut: fn(&str) -> Option<String>,
    /// Adds to a line how often it would have come again.
    with_count: fn(&str, u64) -> String,
    repeats: Mutex<Repeats>,
}

impl<S, N, E> FormatEvent<S, N> for OneLine<E>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    E: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let now = antiphon_telemetry::unix_time();
        let due = lock(&self.repeats).due(now);
        for (line, count) in due {
            writeln!(writer, "{}", (self.with_count)(&line, count))?;
        }
        let id = (*event.metadata().level() <= Level::WARN).then(|| identity(event));
        if id.is_some_and(|id| lock(&self.repeats).is_repeated(id)) {
            return Ok(());
        }
        let mut line = String::new();
        self.inner.format_event(ctx, Writer::new(&mut line), event)?;
        line.truncate(line.trim_end().len());
        let line = (self.cut)(&line).unwrap_or(line);
        writeln!(writer, "{line}")?;
        if let Some(id) = id {
            lock(&self.repeats).written(id, line, now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use proptest::prelude::*;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            lock(&self.0).extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// What is logged meanwhile, as lines for people and as JSON.
    fn logged(events: impl Fn()) -> [String; 2] {
        let (for_people, for_programs) = (Lines::default(), Lines::default());
        let log = || SubscriberBuilder::default().with_ansi(false);
        let people = log().fmt_fields(CleanFields::default()).event_format(text(false));
        tracing::subscriber::with_default(people.with_writer(for_people.clone()).finish(), &events);
        let programs = log().fmt_fields(JsonFields::new()).event_format(json());
        tracing::subscriber::with_default(programs.with_writer(for_programs.clone()).finish(), &events);
        [for_people, for_programs].map(|lines| String::from_utf8(lock(&lines.0).clone()).expect("text"))
    }

    #[test]
    fn what_strangers_send_forges_no_line() {
        let forged = "audio\n2026-01-01T00:00:00Z  INFO antiphon: call begun\r\x1b[2K\u{85}\u{2028}\u{202e}";
        let logs = logged(|| {
            let span = tracing::info_span!("http", request_id = %forged, route = forged);
            let _entered = span.enter();
            tracing::info!(call = forged, error = %forged, "refused: {forged}");
            tracing::warn!(encoding = ?forged, "{forged}");
        });
        for log in logs {
            assert_eq!(log.lines().count(), 2, "{log}");
            assert!(!log.chars().any(|c| c.is_control() && c != '\n'), "{log:?}");
        }
    }

    #[test]
    fn long_values_are_cut() {
        let long = "x".repeat(100_000);
        for log in logged(|| tracing::info!(name = long, path = %long, "got {long}")) {
            assert!(log.len() < 5_000, "{} bytes", log.len());
            assert!(log.contains("xxx") && log.contains("more bytes"), "{log}");
        }
    }

    #[test]
    fn repeated_warnings_are_written_once_and_others_each_time() {
        for log in logged(|| {
            for n in 0..20 {
                tracing::warn!(vendor = "twilio", "media stream refused");
                tracing::warn!(n, "another each time");
                tracing::info!("call begun");
            }
        }) {
            assert_eq!(log.matches("media stream refused").count(), 1, "{log}");
            assert_eq!(log.matches("another each time").count(), 20, "{log}");
            assert_eq!(log.matches("call begun").count(), 20, "{log}");
        }
    }

    #[test]
    fn a_count_makes_a_line_that_can_be_read() {
        assert_eq!((text(false).with_count)("WARN late", 7), "WARN late (and 7 times more within 60 s)");
        let line: serde_json::Value =
            serde_json::from_str(&(json().with_count)(r#"{"level":"WARN"}"#, 7)).expect("JSON");
        assert_eq!(line["repeated"], 7);
    }

    proptest! {
        #[test]
        fn an_event_is_one_line_whatever_it_holds(value in "\\PC{0,30}|[\\s\\S]{0,30}") {
            let [people, programs] = logged(|| tracing::info!(path = %value, name = value, "{value}"));
            prop_assert_eq!(people.lines().count(), 1, "{}", people);
            prop_assert!(!people.trim_end_matches('\n').chars().any(char::is_control), "{:?}", people);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&programs).is_ok(), "{}", programs);
            prop_assert!(!programs.trim_end_matches('\n').chars().any(char::is_control), "{:?}", programs);
        }
    }
}
