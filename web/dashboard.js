// The dashboard: asks the server for its figures and shows them.
import { alerts, advice, banner } from "/dashboard/advice.js";
import { get, hasKey, keepKey } from "/dashboard/api.js";
import { calls, phases } from "/dashboard/calls.js";
import { components, cost, guards, limits } from "/dashboard/components.js";
import { h, update } from "/dashboard/dom.js";
import { clock, span } from "/dashboard/format.js";
import { Charts, stages } from "/dashboard/history.js";
import { overview } from "/dashboard/overview.js";
import { keyOf, turnList, waterfall } from "/dashboard/turns.js";

const FAST_MS = 1000;
const SLOW_MS = 5000;
const TURNS = 50;
const RANGES = [
  [15, "15 min"],
  [60, "1 h"],
  [360, "6 h"],
  [1440, "24 h"],
  [10_080, "7 d"],
  [43_200, "30 d"],
];

const $ = (id) => document.getElementById(id);
const charts = new Charts();
const figures = {
  calls: { data: [], limit: null, has_more: false },
  performance: { window_s: 0, components: [] },
  history: { step_s: 30, at: [], stages: [], levels: [] },
  turns: [],
  alerts: [],
  recommendations: [],
  grade: { letter: null, reasons: [] },
};
// The reason why the last request to each address failed.
const problems = new Map();
let minutes = 60;
let chosenStage = "pipeline/total";
let chosenTurn = null;
let round = 0;
let lastAnswer = null;
let complete = false;

async function ask(name, path, put) {
  try {
    const answer = await get(path);
    if (answer !== null) put(answer);
    problems.delete(name);
    lastAnswer = Date.now() / 1000;
  } catch (problem) {
    problems.set(name, problem);
  }
}

async function askCalls() {
  const wasDown = status() === "down";
  await ask("calls", "/api/calls", (answer) => {
    figures.calls = answer;
  });
  show();
  if (wasDown && !problems.has("calls")) await askRest();
}

async function askRest() {
  // Ignore an answer for a time range that is no longer selected.
  const mine = ++round;
  const put =
    (name, part = (answer) => answer.data) =>
    (answer) => {
      if (mine === round) figures[name] = part(answer);
    };
  const whole = (answer) => answer;
  await Promise.all([
    ask("performance", `/api/performance?minutes=${minutes}`, put("performance", whole)),
    ask("history", `/api/performance/history?minutes=${minutes}&points=120`, put("history", whole)),
    ask("turns", `/api/performance/turns?limit=${TURNS}`, put("turns")),
    ask("alerts", "/api/performance/alerts", put("alerts")),
    ask("recommendations", "/api/performance/recommendations", put("recommendations")),
    ask("grade", "/api/performance/grade", put("grade", whole)),
  ]);
  complete ||= lastAnswer !== null;
  show();
  showHistory();
}

const refused = () => [...problems.values()].some(({ kind }) => kind === "key");

function status() {
  const kinds = new Set([...problems.values()].map(({ kind }) => kind));
  return ["key", "down", "failed"].find((kind) => kinds.has(kind)) ?? (lastAnswer === null ? "connecting" : "live");
}

function notice(state) {
  if (state === "down")
    return `The server does not answer${lastAnswer ? `; the figures are those of ${clock(lastAnswer)}` : ""}. Is it running? The page asks again every second.`;
  if (state === "failed")
    return `Some figures are old: ${[...problems.values()].map(({ message }) => message).join("; ")}.`;
  return "";
}

function showStatus() {
  const state = status();
  const text = { key: "key needed", down: "no answer", failed: "partly" }[state] ?? state;
  document.body.dataset.state = state;
  $("live").dataset.state = state;
  if ($("live-text").textContent !== text) $("live-text").textContent = text;
  const says = notice(state);
  if ($("notice").textContent !== says) $("notice").textContent = says;
  $("notice").hidden = !says;
  const asks = state === "key";
  const appears = asks && $("key-form").hidden;
  $("key-form").hidden = !asks;
  if (appears) $("key").focus();
  $("range").hidden = asks;
  $("panels").hidden = asks || !complete;
}

function showTurns() {
  const { turns, performance } = figures;
  const total = performance.components
    .find(({ name }) => name === "pipeline")
    ?.stages.find(({ name }) => name === "total");
  // A selected turn stays on the page even when it is no longer among the newest.
  const turn = chosenTurn ?? turns[0];
  update($("turn-list"), turnList(turns, turn && keyOf(turn), total?.p95_ms ?? Infinity));
  update($("waterfall"), waterfall(turn));
  $("follow").hidden = chosenTurn === null;
}

function showTitle() {
  const firing = figures.alerts.filter(({ state }) => state === "firing").length;
  const count = figures.calls.data.length;
  document.title = `${firing ? `${firing} firing · ` : ""}${count} ${count === 1 ? "call" : "calls"} · Antiphon`;
}

function show() {
  showStatus();
  update($("firing"), banner(figures));
  update($("overview"), overview(figures));
  update($("phases"), phases(figures));
  update($("calls"), calls(figures));
  update($("advice"), advice(figures));
  update($("components"), components(figures));
  update($("limits"), limits(figures));
  update($("guards"), guards(figures));
  update($("cost"), cost(figures));
  update($("alerts"), alerts(figures));
  $("window").textContent = figures.performance.window_s ? `the last ${span(figures.performance.window_s)}` : "";
  showTurns();
  showTitle();
}

function showHistory() {
  const known = figures.history.stages.map(({ component, stage }) => `${component}/${stage}`);
  const shown = known.includes(chosenStage) ? chosenStage : (known[0] ?? chosenStage);
  update($("stage"), stages(figures.history));
  $("stage").value = shown;
  $("choice").hidden = known.length === 0;
  charts.show(figures.history, shown);
}

function showRanges() {
  update(
    $("range"),
    RANGES.map(([value, name]) =>
      h("button", { type: "button", "data-minutes": value, "aria-pressed": String(value === minutes) }, name),
    ),
  );
}

const seen = () =>
  new Promise((resolve) => {
    if (!document.hidden) resolve();
    else document.addEventListener("visibilitychange", resolve, { once: true });
  });

const sleep = (time) =>
  new Promise((resolve) => {
    setTimeout(resolve, time);
  });

/** Repeats `task` while the page is visible and no key is missing. */
async function repeat(time, task) {
  for (;;) {
    await seen();
    if (!refused()) await task();
    await sleep(time);
  }
}

$("range").addEventListener("click", ({ target }) => {
  if (!target.dataset.minutes) return;
  minutes = Number(target.dataset.minutes);
  showRanges();
  askRest();
});
$("stage").addEventListener("change", ({ target }) => {
  chosenStage = target.value;
  showHistory();
});
$("turn-list").addEventListener("click", ({ target }) => {
  const key = target.closest("[data-turn]")?.dataset.turn;
  if (!key) return;
  chosenTurn = figures.turns.find((turn) => keyOf(turn) === key) ?? null;
  showTurns();
});
$("follow").addEventListener("click", () => {
  chosenTurn = null;
  showTurns();
  $("turn-list").querySelector("button")?.focus();
});
$("advice").addEventListener("click", async ({ target }) => {
  if (!target.dataset.copy) return;
  await navigator.clipboard.writeText(target.dataset.copy);
  target.textContent = "Copied";
});
$("key-form").addEventListener("submit", async (submit) => {
  submit.preventDefault();
  keepKey($("key").value.trim());
  $("key").value = "";
  problems.clear();
  await Promise.all([askCalls(), askRest()]);
  if (refused()) $("key-hint").textContent = "The server did not accept this key. Another one?";
});

if (hasKey()) $("key-hint").textContent = "The key that was given before is not accepted. Another one?";
showRanges();
showStatus();
repeat(FAST_MS, askCalls);
repeat(SLOW_MS, askRest);
