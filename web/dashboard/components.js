// All measurements of the server's components: stages, counters, levels, settings, caches, breakers and cost.
import { spark } from "/dashboard/chart.js";
import { component, counter, isBreaker, level, levels } from "/dashboard/data.js";
import { h } from "/dashboard/dom.js";
import { bytes, count, measure, money, ms, NONE, percent, span, words } from "/dashboard/format.js";

// How many limits are shown even if no level is near its limit.
const ALWAYS_SHOWN = 8;
const COLUMNS = ["Count", "Errors", "p50", "p95", "p99", "Max"];
const BREAKER = {
  0: ["good", "closed", "requests pass"],
  1: ["warn", "half-open", "one request tries"],
  2: ["bad", "open", "requests fail at once"],
};

const breaker = ({ value }) => BREAKER[value] ?? ["warn", String(value), "unknown state"];

// For example `7 of 1,000 calls`; sizes are shown with units of their own.
function amount({ value, limit, unit }) {
  if (!Number.isFinite(limit)) return measure(value, unit);
  return `${measure(value, unit.startsWith("bytes") ? unit : "")} of ${measure(limit, unit)}`;
}

const label = ({ component: of, name }) => `${words(of)}: ${words(name)}`;

// Names of breakers without the word itself, because it is in the heading.
const guarded = ({ component: of, name }) =>
  [of, name]
    .map((part) => words(part).replace(/^breaker ?/, ""))
    .filter(Boolean)
    .join(": ") || name;

function chips({ counters, levels: those, tunables }) {
  const chip = (key, name, value) => h("span.chip", { "data-key": key }, `${words(name)} `, h("b", {}, value));
  return [
    ...counters.map(({ name, value }) => chip(`c ${name}`, name, count(value))),
    ...those.map((one) => chip(`l ${one.name}`, one.name, isBreaker(one) ? breaker(one)[1] : amount(one))),
    ...tunables.map(({ name, value, unit }) => chip(`t ${name}`, `set: ${name}`, measure(value, unit))),
  ];
}

function stageRow({
  name,
  count: times,
  errors,
  p50_ms: p50,
  p95_ms: p95,
  p99_ms: p99,
  max_ms: max,
  p95_history_ms: trend = [],
}) {
  return h(
    "tr",
    { "data-key": `s ${name}` },
    h("th.stage", { scope: "row" }, words(name)),
    h("td.number", {}, count(times)),
    h("td.number", {}, errors ? h("b.warn", {}, count(errors)) : "0"),
    ...[p50, p95, p99, max].map((value) => h("td.number", {}, ms(value))),
    h("td.trend", {}, trend.some(Number.isFinite) ? spark(trend) : NONE),
  );
}

function group(one) {
  return h(
    "tbody",
    { "data-key": one.name },
    h(
      "tr.component",
      { "data-key": "head" },
      h(
        "th",
        { scope: "rowgroup", colspan: "8" },
        h("div.chips", {}, h("span.name", {}, words(one.name)), ...chips(one)),
      ),
    ),
    ...one.stages.map(stageRow),
  );
}

/** A section for each component, including those that the page does not know. */
export function components({ performance }) {
  if (!performance.components.length)
    return h("p.empty", {}, "No component reports figures. They appear with the first call.");
  const head = [
    h("th", { scope: "col" }, "Stage"),
    ...COLUMNS.map((name) => h("th.number", { scope: "col" }, name)),
    h("th", { scope: "col" }, "p95 over time"),
  ];
  return h(
    "div.scroll",
    { role: "region", tabindex: "0", "aria-label": "Table of components" },
    h("table.components", {}, h("thead", {}, h("tr", {}, ...head)), ...performance.components.map(group)),
  );
}

function meter(key, name, value, max, text) {
  const share = max ? Math.min(1, Math.max(0, value / max)) : 0;
  const state = share >= 0.9 ? "bad" : share >= 0.7 ? "warn" : "good";
  const note = { bad: "nearly full", warn: "filling up" }[state];
  return h(
    "li",
    { "data-key": key },
    h(
      "p.between",
      {},
      h("span", {}, name),
      h("span.number", {}, note && h("span.state", { "data-state": state }, note), ` ${text}`),
    ),
    h(
      "div.meter",
      {
        role: "meter",
        "aria-label": name,
        "aria-valuenow": value,
        "aria-valuemin": "0",
        "aria-valuemax": max,
        "aria-valuetext": text,
        "data-state": state,
      },
      h("i", { style: { width: `${(100 * share).toFixed(1)}%` } }),
    ),
  );
}

/** Every level that has a limit, the fullest first. */
export function limits({ performance }) {
  const bound = levels(performance)
    .filter((one) => one.limit > 0 && Number.isFinite(one.value) && !isBreaker(one))
    .sort((a, b) => b.value / b.limit - a.value / a.limit);
  if (!bound.length)
    return h(
      "p.empty",
      {},
      "Nothing has a limit yet. Queues, open files and lines appear here with how full they are.",
    );
  // Each engine has a queue for each priority, and most of these are empty most of the time.
  const shown = bound.filter((one, at) => at < ALWAYS_SHOWN || one.value > 0);
  const items = shown.map((one) =>
    meter(`${one.component} ${one.name}`, label(one), one.value, one.limit, amount(one)),
  );
  const empty = bound.length - shown.length;
  return h(
    "div",
    {},
    h("ul.plain.meters", {}, ...items),
    empty > 0 && h("p.empty", {}, `${count(empty)} more are empty.`),
  );
}

function cache(one) {
  const [hits, misses] = [counter(one, "hits") ?? 0, counter(one, "misses") ?? 0];
  const asked = hits + misses;
  const text = asked ? `${percent(hits / asked)} of ${count(asked)}` : "not asked yet";
  return h(
    "li",
    { "data-key": one.name },
    h("p.between", {}, h("span", {}, words(one.name)), h("span.number", {}, text)),
    h(
      "div.meter",
      {
        role: "meter",
        "aria-label": `Hit rate of ${words(one.name)}`,
        "aria-valuenow": hits,
        "aria-valuemin": "0",
        "aria-valuemax": Math.max(asked, 1),
        "aria-valuetext": text,
      },
      h("i", { style: { width: `${asked ? ((100 * hits) / asked).toFixed(1) : 0}%` } }),
    ),
  );
}

/** Hit rates of the caches, and the states of the breakers. */
export function guards({ performance }) {
  const caches = performance.components.filter(({ name }) => name.startsWith("cache"));
  const breakers = levels(performance).filter(isBreaker);
  const rows = breakers.map((one) => {
    const [state, name, meaning] = breaker(one);
    return h(
      "li.between",
      { "data-key": `${one.component} ${one.name}` },
      h("span", {}, guarded(one)),
      h("span", {}, h("span.state", { "data-state": state }, name), h("span.soft", {}, ` ${meaning}`)),
    );
  });
  return [
    caches.length > 0 && [h("h3", {}, "Hit rates"), h("ul.plain.meters", {}, ...caches.map(cache))],
    breakers.length > 0 && [h("h3", {}, "Breakers"), h("ul.plain", {}, ...rows)],
    !caches.length &&
      h("p.empty", {}, "No cache is switched on. Caches appear here with the share of requests they answer."),
    !breakers.length &&
      h("p.empty", {}, "No breaker guards an engine. Breakers appear here when an engine is reached over the network."),
  ];
}

/** The audio or text that was sent to all engines of a stage. */
function sent(performance, what) {
  const counters = component(performance, "usage")?.counters ?? [];
  return counters.filter(({ name }) => name.endsWith(` ${what}`)).reduce((sum, { value }) => sum + value, 0);
}

/** What calls use: tokens, speech, CPU, memory and money. */
export function cost({ performance, calls }) {
  const llm = component(performance, "llm");
  const [input, cached, output] = ["input_tokens", "cached_tokens", "output_tokens"].map((name) => counter(llm, name));
  const cpu = level(performance, "process", "cpu_per_call")?.value;
  const memory = level(performance, "process", "memory_per_call")?.value;
  const prices = calls.data.map((call) => call.cost).filter(Number.isFinite);
  const entry = (name, value, about) =>
    h("div", { "data-key": name }, h("dt", {}, name, h("span.sub", {}, about)), h("dd.number", {}, value));
  return h(
    "dl.cost",
    {},
    entry(
      "Tokens read",
      count(input),
      input > 0 && cached >= 0
        ? `${percent(cached / input)} from the model’s cache; since the start`
        : "since the start",
    ),
    entry("Tokens written", count(output), "since the start"),
    entry("Audio transcribed", span(sent(performance, "seconds")), "sent to engines since the start"),
    entry("Characters spoken", count(sent(performance, "characters")), "sent to engines since the start"),
    entry(
      "CPU for a second of call",
      ms(cpu),
      cpu ? `${count(1000 / cpu)} calls would fill one core` : "appears with the first call",
    ),
    entry("Memory of a call", bytes(memory), memory ? "what calls add to the process" : "appears with the first call"),
    prices.length > 0 &&
      entry(
        "Money",
        money(prices.reduce((sum, price) => sum + price, 0)),
        "calls now, in the currency of the configured prices",
      ),
  );
}
