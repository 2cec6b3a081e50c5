// The table of active calls.
import { now } from "/dashboard/api.js";
import { h } from "/dashboard/dom.js";
import { count, duration, money, ms, words } from "/dashboard/format.js";

// Nobody reads a table of a thousand rows, so it is cut off.
const MOST = 50;
const PHASES = ["listening", "possible_end", "thinking", "speaking", "interrupted", "idle"];
const COLUMNS = [
  ["Call"],
  ["Phase"],
  ["Duration", "number"],
  ["Response", "number extra"],
  ["Turns", "number extra"],
  ["Interrupted", "number extra"],
  ["Failures", "number extra"],
  ["Tokens in / out", "number extra"],
  ["CPU", "number extra"],
];

const phase = (name, text = words(name)) =>
  h("span.phase", { "data-phase": name }, h("span.dot", { "aria-hidden": "true" }), text);

function row(call, priced) {
  const { id, transport, started, turns, interruptions, failures } = call;
  const failed = failures ? h("b.warn", {}, count(failures)) : "0";
  const brief = [`${count(turns)} ${turns === 1 ? "turn" : "turns"}`, failures && `${count(failures)} failed`]
    .filter(Boolean)
    .join(" · ");
  const response = call.latency_ms?.total;
  return h(
    "tr",
    { "data-key": id },
    h(
      "th",
      { scope: "row" },
      h("code", { title: id }, id),
      h("span.sub", {}, ` ${transport}`, h("span.brief", {}, ` · ${brief}`)),
    ),
    h("td", {}, phase(call.phase)),
    h("td.number", {}, duration(now() - started), h("span.sub.brief", {}, ms(response))),
    h("td.number.extra", {}, ms(response)),
    h("td.number.extra", {}, count(turns)),
    h("td.number.extra", {}, count(interruptions)),
    h("td.number.extra", {}, failed),
    h("td.number.extra", {}, `${count(call.input_tokens)} / ${count(call.output_tokens)}`),
    h("td.number.extra", {}, ms(call.busy_ms)),
    priced && h("td.number.extra", {}, money(call.cost)),
  );
}

/** How many calls are in each phase. */
export function phases({ calls: { data } }) {
  return PHASES.map((name) => [name, data.filter((call) => call.phase === name).length])
    .filter(([, calls]) => calls)
    .map(([name, calls]) => phase(name, `${count(calls)} ${words(name)}`));
}

/** The table of the newest calls. */
export function calls({ calls: { data } }) {
  if (!data.length)
    return h(
      "p.empty",
      {},
      "Nobody calls at the moment. Open the ",
      h("a", { href: "/" }, "talk page"),
      " and press Talk: the call appears here within a second.",
    );
  const newest = [...data].sort((a, b) => b.started - a.started).slice(0, MOST);
  const priced = data.some((call) => Number.isFinite(call.cost));
  const columns = [...COLUMNS, ...(priced ? [["Cost", "number extra"]] : [])];
  const head = columns.map(([name, classes]) => h("th", { scope: "col", class: classes }, name));
  return [
    h(
      "div.scroll",
      { role: "region", tabindex: "0", "aria-label": "Table of calls" },
      h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...newest.map((call) => row(call, priced)))),
    ),
    data.length > MOST && h("p.soft", {}, `The ${MOST} newest of ${count(data.length)} calls.`),
  ];
}
