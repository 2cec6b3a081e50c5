// The server's performance grade, its recommendations and its alerts.
import { now } from "/dashboard/api.js";
import { h } from "/dashboard/dom.js";
import { clock, duration, measure, moment, words } from "/dashboard/format.js";

function recommendation({ title, gain, evidence, command }) {
  const copy =
    navigator.clipboard &&
    h("button.small", { type: "button", "data-copy": command, "aria-label": `Copy ${command}` }, "Copy");
  return h(
    "li.advice",
    { "data-key": title },
    h("h3", {}, title),
    h("p", {}, h("b", {}, gain)),
    h("p.soft", {}, evidence),
    command && h("p.command", {}, h("code", {}, command), copy),
  );
}

/** The reasons for the grade, and what would improve it. */
export function advice({ grade, recommendations }) {
  const reasons = grade.reasons.map(({ metric, letter, text }) =>
    h(
      "li",
      { "data-key": metric },
      h("b.badge", { "data-grade": letter?.[0] ?? "none" }, letter ?? "–"),
      h("span", {}, text),
    ),
  );
  return [
    reasons.length
      ? h("ul.reasons", {}, ...reasons)
      : h(
          "p.empty",
          {},
          "Nothing is graded yet. Hold a few turns on the ",
          h("a", { href: "/" }, "talk page"),
          " and the grade appears with its reasons.",
        ),
    recommendations.length
      ? h("ul.plain", {}, ...recommendations.map(recommendation))
      : h(
          "p.empty",
          {},
          "There is nothing to recommend. ",
          h("code", {}, "antiphon optimize"),
          " measures what would make this server faster; what it finds appears here.",
        ),
  ];
}

const firing = ({ state }) => state === "firing";

/** The alerts that fire now, shown at the top of the page. */
export const banner = ({ alerts }) =>
  alerts
    .filter(firing)
    .map(({ rule, subject, message, since }) =>
      h(
        "p.firing",
        { "data-key": `${rule} ${subject}` },
        h("b", {}, "Alert "),
        message,
        h("span.soft", {}, ` since ${moment(since)}`),
      ),
    );

function row(alert) {
  const { rule, subject, message, since, until, value, threshold, unit } = alert;
  const lasted = duration((until ?? now()) - since);
  return h(
    "tr",
    { "data-key": `${rule} ${subject} ${since}` },
    h(
      "td",
      {},
      h("span.state", { "data-state": firing(alert) ? "bad" : "good" }, firing(alert) ? "firing" : "resolved"),
    ),
    h(
      "th",
      { scope: "row" },
      h("span", {}, message),
      h("span.sub", {}, `${words(rule)} rule: ${measure(value, unit)}, threshold ${measure(threshold, unit)}`),
      h("span.sub.brief", {}, `since ${moment(since)}, for ${lasted}`),
    ),
    h("td.number.extra", {}, moment(since)),
    h("td.number.extra", {}, lasted),
    h("td.number.extra", {}, until ? clock(until) : ""),
  );
}

/** All alerts, with those that fire at the top. */
export function alerts({ alerts: all }) {
  if (!all.length)
    return h(
      "p.empty",
      {},
      "No alert yet. When a latency, an error share or a queue leaves its usual range, it appears here and at the top of the page.",
    );
  const sorted = [...all].sort((a, b) => firing(b) - firing(a) || b.since - a.since);
  const column = (name, classes = "") => h(`th${classes}`, { scope: "col" }, name);
  const head = h(
    "tr",
    {},
    column("State"),
    column("What"),
    column("Since", ".number.extra"),
    column("For", ".number.extra"),
    column("Until", ".number.extra"),
  );
  return h("table", {}, h("thead", {}, head), h("tbody", {}, ...sorted.map(row)));
}
