// How the time of a turn is spent: a list of recent turns, and the steps of the selected one.
import { ticks } from "/dashboard/scale.js";
import { h } from "/dashboard/dom.js";
import { clock, count, ms, words } from "/dashboard/format.js";

const STEPS = {
  silence: "silence heard",
  end_of_turn: "end of turn decided",
  stt: "speech to text",
  llm: "language model, first token",
  tts: "voice, first sound",
};

/** The key that identifies a turn. */
export const keyOf = ({ call_id: call, turn }) => `${call}/${turn}`;

const length = ({ start_ms: start, end_ms: end }) => end - start;
const inOrder = (steps) => [...steps].sort((a, b) => a.start_ms - b.start_ms || length(b) - length(a));

// The time axis from the first to the last step; the last speech sample is at 0.
function extent(turns) {
  const all = turns.flatMap(({ steps, latency_ms: latency }) => [
    0,
    latency?.total ?? 0,
    ...steps.flatMap((step) => [step.start_ms, step.end_ms]),
  ]);
  return [Math.min(...all), Math.max(...all, 1)];
}

function bar({ name, start_ms: start, end_ms: end }, [from, to]) {
  const percent = (value) => `${((100 * value) / (to - from)).toFixed(2)}%`;
  return h("i", { "data-step": name, style: { left: percent(start - from), width: percent(end - start) } });
}

/** The list of turns, with bars on a common scale. A turn counts as slow from `slow` ms on. */
export function turnList(turns, chosen, slow) {
  if (!turns.length)
    return h(
      "p.empty",
      {},
      "No turn yet. Say something on the ",
      h("a", { href: "/" }, "talk page"),
      ": each answer appears here with the time of its steps.",
    );
  const shared = extent(turns);
  const items = turns.map((turn) => {
    const total = turn.latency_ms?.total;
    return h(
      "li",
      { "data-key": keyOf(turn) },
      h(
        "button.turn",
        { type: "button", "data-turn": keyOf(turn), "aria-current": keyOf(turn) === chosen && "true" },
        h("span.soft", {}, clock(turn.at)),
        h("span.who", {}, `${turn.call_id} · turn ${turn.turn}`),
        total > slow && h("span.slow", {}, "slow"),
        h("b.number", {}, ms(total)),
        h("span.track", { "aria-hidden": "true" }, ...inOrder(turn.steps).map((step) => bar(step, shared))),
      ),
    );
  });
  return h("ol.plain.turn-list", { "aria-label": "Recent turns, newest first" }, ...items);
}

function summary({ latency_ms: latency, steps, served_from_cache: cached }) {
  const longest = steps.filter(({ name }) => name !== "end_of_turn").sort((a, b) => length(b) - length(a))[0];
  return [
    h("b", {}, ms(latency?.total)),
    " from the last speech sample to the first sound of the answer",
    Number.isFinite(latency?.overhead) && `, ${ms(latency.overhead)} of it Antiphon’s own`,
    cached && ". Its words came from the cache",
    longest && `. The longest step was “${STEPS[longest.name] ?? words(longest.name)}” with ${ms(length(longest))}`,
    ".",
  ];
}

/** The steps of a turn on a time axis. */
export function waterfall(turn) {
  if (!turn) return null;
  const scale = extent([turn]);
  const [from, to] = scale;
  const place = (value) => `${((100 * (value - from)) / (to - from)).toFixed(2)}%`;
  const marks = ticks(to, "ms", 4).filter((mark) => mark <= to);
  const row = (name, step) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      h(
        "td.lane",
        {},
        h(
          "span.track",
          { "aria-hidden": "true" },
          ...marks.map((mark) => h("s", { style: { left: place(mark) } })),
          bar(step, scale),
        ),
      ),
      h("td.number.extra", {}, ms(step.start_ms)),
      h("td.number", {}, ms(length(step))),
    );
  const rows = inOrder(turn.steps).map((step) => row(STEPS[step.name] ?? words(step.name), step));
  const total = turn.latency_ms?.total;
  const axis = h(
    "span.axis",
    {},
    ...marks.map((mark, i) =>
      h("span", { style: { left: place(mark) } }, i + 1 < marks.length ? count(mark) : ms(mark)),
    ),
  );
  return [
    h("h3", {}, `${turn.call_id}, turn ${turn.turn}`, h("span.soft", {}, ` ${turn.transport}, ${clock(turn.at)}`)),
    h("p", {}, ...summary(turn)),
    h(
      "table.waterfall",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Step"),
          h("th.lane", { scope: "col" }, h("span.sr-only", {}, "Timeline"), axis),
          h("th.number.extra", { scope: "col" }, "Starts at"),
          h("th.number", { scope: "col" }, "Takes"),
        ),
      ),
      h("tbody", {}, ...rows),
      Number.isFinite(total) && h("tfoot", {}, row("in all", { name: "total", start_ms: 0, end_ms: total })),
    ),
    h("p.soft", {}, "0 is the last speech sample. Steps overlap: their times do not add up to the total."),
  ];
}
