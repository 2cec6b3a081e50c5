// The tiles at the top with the most important figures.
import { spark } from "/dashboard/chart.js";
import { level, levelHistory, stage } from "/dashboard/data.js";
import { h } from "/dashboard/dom.js";
import { bytes, count, ms, NONE, percent, plain, span } from "/dashboard/format.js";

function tile(key, name, value, about, trend, state = "normal") {
  return h(
    "div.tile",
    { "data-key": key, "data-state": state },
    h("h2", {}, name),
    h("p.value", {}, value),
    h("p.about", {}, about),
    trend?.length > 1 && spark(trend),
  );
}

function grade({ letter, reasons }) {
  const about = letter ? (reasons[0]?.text ?? "") : "comes after the first turns";
  return h(
    "div.tile",
    { "data-key": "grade", "data-grade": letter?.[0] ?? "none" },
    h("h2", {}, "Grade"),
    h("p.value.letter", {}, letter ?? NONE),
    h("p.about", {}, about),
  );
}

function calls({ calls: { data, limit, has_more: more }, history }) {
  const share = limit ? data.length / limit : 0;
  const value = [`${count(data.length)}${more ? "+" : ""}`, limit && h("small", {}, ` of ${count(limit)}`)];
  const about = data.length ? `${percent(share)} of the lines are taken` : "all lines are free";
  return tile(
    "calls",
    "Calls now",
    value,
    about,
    levelHistory(history, "transport", "active"),
    share > 0.8 ? "warn" : "normal",
  );
}

function turns({ performance }) {
  const total = stage(performance, "pipeline", "total");
  const value = [ms(total?.p50_ms), h("small", {}, " p50")];
  const about = total?.count
    ? `p95 ${ms(total.p95_ms)} · ${count(total.count)} turns in ${span(performance.window_s)}`
    : `no turn in ${span(performance.window_s)}`;
  return tile("turns", "Response time", value, about, total?.p95_history_ms);
}

function errors({ performance }) {
  const failing = performance.components.flatMap(({ name, stages }) =>
    stages.filter((one) => one.errors).map((one) => ({ ...one, component: name })),
  );
  const sum = failing.reduce((all, one) => all + one.errors, 0);
  const share = sum / failing.reduce((all, one) => all + Math.max(one.count, one.errors), 0);
  const about = sum
    ? `${percent(share)}: ${failing.map((one) => `${one.component} ${count(one.errors)}`).join(", ")}`
    : `none in ${span(performance.window_s)}`;
  return tile("errors", "Errors", count(sum), about, [], share > 0.01 ? "warn" : "normal");
}

function cpu({ performance, history }) {
  const used = level(performance, "process", "cpu");
  const share = used?.limit ? used.value / used.limit : NaN;
  const about = used
    ? `${plain(used.value)}${used.limit ? ` of ${plain(used.limit)}` : ""} cores`
    : "not measured on this system";
  return tile(
    "cpu",
    "CPU",
    percent(share),
    about,
    levelHistory(history, "process", "cpu"),
    share > 0.85 ? "warn" : "normal",
  );
}

function memory({ performance, history }) {
  const used = level(performance, "process", "memory");
  const each = level(performance, "process", "memory_per_call")?.value;
  const about = !used ? "not measured on this system" : each ? `${bytes(each)} a call` : "of the server's process";
  return tile("memory", "Memory", bytes(used?.value), about, levelHistory(history, "process", "memory"));
}

/** The tiles at the top of the page. */
export const overview = (state) => [
  grade(state.grade),
  calls(state),
  turns(state),
  errors(state),
  cpu(state),
  memory(state),
];
