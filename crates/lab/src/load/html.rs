//! A report as one HTML page, without scripts and without links to other files.

use super::plan::Kind;
use super::plot::{Series, label, plot};
use super::report::{Figures, Percentiles, Report, Window};

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1b1f24; --back: #fff; --faint: #d5dae0; --soft: #5b6570; --bad: #b3261e;
  --s0: #1a6fb5; --s1: #b85c00; --s2: #a3257f; --s3: #2e7d32; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ed; --back: #14171b; --faint: #343b44; --soft: #9aa5b1;
  --bad: #ff8a80; --s0: #64b5f6; --s1: #ffb74d; --s2: #f48fce; --s3: #81c784; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--faint); text-align: right; }
th { font-weight: 600; } th[scope=row], .facts td { text-align: left; overflow-wrap: anywhere; }
.bad { color: var(--bad); font-weight: 600; }
figure { margin: 1.5rem 0; } svg { width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 12px; } svg path { fill: none; stroke-width: 2; stroke-linecap: round; }
.grid { stroke: var(--faint); }
.key::before { content: ''; display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .8em;
  background: var(--c); }
";

/// The report as a page: plots over time, the levels and the totals. It suits light and dark screens and screen readers.
pub fn html(report: &Report) -> String {
    let title = match report.kind {
        Kind::Sustained => "Sustained load",
        Kind::Spike => "Load spike",
        Kind::Stress => "Stress test",
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}: {target}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\n\
         <body><h1>{title}</h1>\n{facts}\n<h2>Over time</h2>\n{plots}\n<h2>Levels</h2>\n{levels}\n\
         <h2>Totals</h2>\n{totals}\n<details><summary>Every window</summary>{windows}</details>\n</body></html>\n",
        target = escape(&report.target),
        facts = facts(report),
        plots = plots(&report.windows),
        levels = levels(report),
        totals = totals(&report.totals),
        windows = windows(&report.windows),
    )
}

fn facts(report: &Report) -> String {
    let calls = |calls: Option<usize>| calls.map_or("none".to_owned(), |calls| format!("{calls} calls"));
    let plan = &report.plan;
    let mut rows = vec![
        ("Server", report.target.clone()),
        ("Machine", report.machine.clone()),
        ("Version", report.commit.clone()),
        ("Begun", format!("{} (Unix time)", report.started_unix_s)),
        ("Each caller asks", format!("every {} s", label(plan.period_s))),
        (
            "Callers speak, in the whole test",
            format!(
                "{} % of the time, {} % wanted",
                percent(report.totals.caller_speech_share),
                percent(report.speech_share_wanted)
            ),
        ),
        ("A question, on average", format!("{} s", label(report.totals.question_mean_s))),
        ("A reply, on average", format!("{} s", label(report.totals.reply_mean_s))),
        ("The agent speaks", format!("{} % of the time", percent(report.totals.agent_speech_share))),
        ("Frames sent late by the load generator", format!("{} %", percent(report.totals.late_share()))),
        (
            "Broken means",
            format!(
                "p95 above {} ms, or more than {} % errors",
                label(plan.limit_ms),
                label(plan.error_limit * 100.0)
            ),
        ),
        ("Capacity", calls(report.capacity)),
        ("Breaks at", calls(report.breaking_point)),
    ];
    rows.extend(report.recovery_s.map(|s| ("Recovered after", format!("{} s", label(s)))));
    rows.extend(report.first_failure.iter().map(|failure| ("First failure", failure.clone())));
    let rows: Vec<String> = rows
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", escape(&value)))
        .collect();
    format!("<table class=\"facts\"><tbody>{}</tbody></table>", rows.concat())
}

fn plots(windows: &[Window]) -> String {
    let series = |name, value: &dyn Fn(&Window) -> Option<f64>| Series {
        name,
        points: windows.iter().map(|window| (window.time_s, value(window))).collect(),
    };
    let latency = |name, ms: fn(&Percentiles) -> f64| {
        series(name, &|w| (w.figures.latency.count > 0).then(|| ms(&w.figures.latency)))
    };
    let server = |w: &Window| w.figures.server;
    [
        plot(
            "Turn latency",
            "ms",
            &[latency("p50", |l| l.p50_ms), latency("p95", |l| l.p95_ms), latency("p99", |l| l.p99_ms)],
        ),
        plot(
            "Calls",
            "calls",
            &[series("up", &|w| Some(w.calls_up as f64)), series("wanted", &|w| Some(w.calls_wanted as f64))],
        ),
        plot(
            "What went wrong",
            "a window",
            &[
                series("failed calls", &|w| Some((w.figures.failed() - w.figures.busy) as f64)),
                series("busy", &|w| Some(w.figures.busy as f64)),
                series("missed turns", &|w| Some(w.figures.missed as f64)),
                series("gaps", &|w| Some(w.figures.gaps.count as f64)),
            ],
        ),
        plot(
            "Who speaks",
            "% of the time",
            &[
                series("callers", &|w| Some(w.figures.caller_speech_share * 100.0)),
                series("agent", &|w| Some(w.figures.agent_speech_share * 100.0)),
            ],
        ),
        plot(
            "Processor time of the server",
            "ms a call-second",
            &[series("CPU", &|w| server(w)?.cpu_ms_per_call_second)],
        ),
        plot(
            "Memory of the server",
            "MiB",
            &[series("resident", &|w| Some(server(w)?.resident_bytes as f64 / f64::from(1 << 20)))],
        ),
        plot(
            "Lateness of the load generator",
            "ms",
            &[series("p99", &|w| (w.figures.lateness.count > 0).then_some(w.figures.lateness.p99_ms))],
        ),
    ]
    .concat()
}

fn levels(report: &Report) -> String {
    let rows = report.levels.iter().map(|level| {
        let figures = &level.figures;
        let server = figures.server;
        let verdict = if level.broken { "<td class=\"bad\">broken</td>" } else { "<td>held</td>" }.to_owned();
        let mut cells = vec![
            figures.turns.to_string(),
            label(figures.latency.p50_ms),
            label(figures.latency.p95_ms),
            label(figures.latency.p99_ms),
            figures.missed.to_string(),
            figures.busy.to_string(),
            (figures.failed() - figures.busy).to_string(),
            figures.gaps.count.to_string(),
        ];
        cells.push(optional(server.and_then(|s| s.cpu_ms_per_call_second)));
        cells.push(optional(server.and_then(|s| s.bytes_per_call).map(|bytes| bytes / 1_024.0)));
        cells.push(percent(figures.caller_speech_share));
        cells.push(percent(figures.agent_speech_share));
        cells.push(percent(figures.late_share()));
        row(&level.calls.to_string(), &cells, &verdict)
    });
    table(
        &[
            "calls",
            "turns",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "missed",
            "busy",
            "failed",
            "gaps",
            "CPU ms/call-s",
            "KiB/call",
            "callers speak %",
            "agent speaks %",
            "late frames %",
            "verdict",
        ],
        rows,
    )
}

fn totals(figures: &Figures) -> String {
    let counts = [
        ("turns", figures.turns),
        ("answered", figures.answered),
        ("missed", figures.missed),
        ("questions asked", figures.questions),
        ("questions asked late because of a reply", figures.turns_delayed),
        ("replies heard", figures.replies_heard),
        ("frames sent", figures.frames),
        ("frames sent late by the load generator", figures.frames_late),
        ("busy", figures.busy),
        ("no connection", figures.connect_failed),
        ("hung up", figures.hung_up),
        ("protocol errors", figures.protocol_errors),
        ("interruptions", figures.interruptions),
        ("interruptions honoured", figures.interruptions_honoured),
    ];
    let spans = [
        ("turn latency", figures.latency),
        ("interruption until silence", figures.interruption_stop),
        ("gaps in replies", figures.gaps),
        ("connecting", figures.connect),
        ("lateness of the load generator", figures.lateness),
    ];
    let counts = counts.map(|(name, count)| row(name, &[count.to_string()], ""));
    let spans = spans.map(|(name, p)| {
        let ms = [p.p50_ms, p.p95_ms, p.p99_ms, p.max_ms].map(label);
        row(name, &[&[p.count.to_string()], &ms[..]].concat(), "")
    });
    let own = figures.generator_cpu_ms_per_call_second;
    format!(
        "{}\n{}\n<p>The load generator used {} ms of processor time for each second of each call.</p>",
        table(&["", "count"], counts.into_iter()),
        table(&["", "count", "p50 ms", "p95 ms", "p99 ms", "max ms"], spans.into_iter()),
        optional(own)
    )
}

fn windows(windows: &[Window]) -> String {
    let rows = windows.iter().map(|window| {
        let figures = &window.figures;
        let latency = figures.latency;
        let cells = [
            window.calls_up.to_string(),
            figures.turns.to_string(),
            label(latency.p50_ms),
            label(latency.p95_ms),
            label(latency.p99_ms),
            label(latency.max_ms),
            figures.missed.to_string(),
            figures.busy.to_string(),
            (figures.failed() - figures.busy).to_string(),
            figures.gaps.count.to_string(),
            label(figures.lateness.p99_ms),
        ];
        row(&label(window.time_s), &cells, "")
    });
    table(
        &[
            "time s",
            "calls",
            "turns",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "max ms",
            "missed",
            "busy",
            "failed",
            "gaps",
            "late p99 ms",
        ],
        rows,
    )
}

fn table(headers: &[&str], rows: impl Iterator<Item = String>) -> String {
    let headers: Vec<_> = headers.iter().map(|name| format!("<th scope=\"col\">{name}</th>")).collect();
    let rows: String = rows.collect();
    format!(
        "<div class=\"scroll\"><table><thead><tr>{}</tr></thead><tbody>{rows}</tbody></table></div>",
        headers.concat()
    )
}

fn row(name: &str, cells: &[String], last: &str) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
    format!("<tr><th scope=\"row\">{name}</th>{}{last}</tr>", cells.concat())
}

fn optional(value: Option<f64>) -> String {
    value.map_or("unknown".to_owned(), label)
}

fn percent(share: f64) -> String {
    label(share * 100.0)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::plan::Plan;
    use crate::load::report::{Level, ServerFigures};
    use crate::load::wire::Protocol;

    fn report() -> Report {
        let latency = Percentiles { count: 9, p50_ms: 801.5, p95_ms: 903.0, p99_ms: 950.0, max_ms: 1_001.0 };
        let server = ServerFigures {
            resident_bytes: 5 << 20,
            bytes_per_call: None,
            cpu_ms_per_call_second: Some(1.5),
        };
        let figures = Figures {
            turns: 10,
            answered: 9,
            missed: 1,
            caller_speech_share: 0.381,
            question_mean_s: 2.75,
            reply_mean_s: 1.98,
            frames: 1_000,
            frames_late: 7,
            latency,
            server: Some(server),
            ..Figures::default()
        };
        let window = |n: u32| Window {
            time_s: 5.0 * f64::from(n),
            phase: 0,
            calls_wanted: 3,
            calls_up: 2,
            figures: figures.clone(),
        };
        Report {
            kind: Kind::Stress,
            target: "ws://h/<script>".to_owned(),
            protocol: Protocol::Twilio,
            plan: Plan::stress(1, 1, std::time::Duration::from_mins(1), 2, 8.0),
            speech_share_wanted: 0.3853,
            started_unix_s: 1,
            machine: "a & \"b\"".to_owned(),
            commit: "'c'".to_owned(),
            totals: figures.clone(),
            levels: vec![Level { calls: 77, broken: true, figures: figures.clone() }],
            capacity: None,
            breaking_point: Some(77),
            recovery_s: Some(12.5),
            first_failure: Some("<b>".to_owned()),
            windows: (1..4).map(window).collect(),
        }
    }

    #[test]
    fn a_page_holds_the_plots_and_tables_and_escapes_what_it_is_given() {
        let page = html(&report());
        for text in ["<script", "<b></td>", "a & ", "'c'"] {
            assert!(!page.contains(text), "{text}");
        }
        for text in [
            "&lt;script&gt;",
            "a &amp; &quot;b&quot;",
            "77 calls",
            "broken",
            "802",
            "12.5 s",
            "38.1 % of the time, 38.5 % wanted",
            "2.75 s",
            "1.98 s",
            "0.7 %",
        ] {
            assert!(page.contains(text), "{text}");
        }
        // Latency, calls, errors, who speaks, processor time and memory; nothing is known of lateness.
        assert_eq!(page.matches("<svg role=\"img\"").count(), 6);
        assert!(page.contains("prefers-color-scheme: dark"));
        assert!(!page.contains("http"), "nothing comes from elsewhere");
        assert_eq!(page.matches("<table").count(), page.matches("</table>").count());
    }

    #[test]
    fn a_report_survives_being_kept() {
        let report = report();
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["windows"][0]["latency"]["p95_ms"], 903.0);
        assert_eq!(json["kind"], "stress");
        let text = json.to_string();
        assert_eq!(serde_json::from_str::<Report>(&text).expect("a report"), report);
    }
}
