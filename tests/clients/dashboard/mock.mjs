// A server with made-up figures, to see and test the dashboard without calls: `node mock.mjs STATE`, where STATE is
// `full`, `empty`, `firing`, `down` (nothing of the API is answered) or `key` (the key is "secret").

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

export const KEY = "secret";
const WEB = fileURLToPath(new URL("../../../web", import.meta.url));
const KINDS = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css",
  ".js": "text/javascript",
  ".svg": "image/svg+xml",
};
const NAMES = { "/": "/index.html", "/dashboard": "/dashboard.html" };

const now = () => Date.now() / 1000;
// The same figures in every run, without chance: a wave that never repeats exactly.
const wave = (i, most) =>
  most * (0.5 + 0.25 * Math.sin(i / 7) + 0.15 * Math.sin(i / 2.3 + 1) + 0.1 * Math.sin(1.7 * i));

const latency = (total) => ({
  end_of_turn: 0.54 * total,
  stt: 0.1 * total,
  llm_ttft: 0.18 * total,
  tts_ttfb: 0.24 * total,
  total,
  overhead: 2,
});

function calls(newest) {
  const phases = ["speaking", "listening", "thinking", "possible_end", "interrupted", "idle", "listening"];
  const data = phases.map((phase, i) => ({
    id: `call_${i + 41}`,
    transport: ["twilio", "talk", "openai"][i % 3],
    started: newest - 37 * i,
    phase,
    turns: 3 * i,
    interruptions: i % 3,
    failures: i === 4 ? 2 : 0,
    latency_ms: i ? latency(380 + 31 * i) : null,
    busy_ms: 12.5 * (i + 1),
    input_tokens: 412 * i,
    output_tokens: 97 * i,
    stt_seconds: 21.5 * i,
    tts_characters: 610 * i,
    cost: 0.0011 * i,
  }));
  return { data, limit: 1000, has_more: false };
}

const stage = (name, p50, count, errors = 0) => ({
  name,
  count,
  errors,
  p50_ms: p50,
  p95_ms: 1.31 * p50,
  p99_ms: 1.44 * p50,
  max_ms: 1.83 * p50,
  mean_ms: 1.04 * p50,
  p95_history_ms: Array.from({ length: 30 }, (_, i) => (i < 3 ? null : p50 + wave(i + p50, p50))),
});
const level = (name, value, unit, limit = null) => ({ name, value, limit, unit });
const counters = (values) => Object.entries(values).map(([name, value]) => ({ name, value }));
const component = (name, { stages = [], counts = {}, levels = [], tunables = [] }) => ({
  name,
  stages,
  counters: counters(counts),
  levels,
  tunables,
});
const idle = (name) => ({
  ...stage(name, 0, 0),
  p50_ms: null,
  p95_ms: null,
  p99_ms: null,
  max_ms: null,
  mean_ms: null,
  p95_history_ms: [null, null],
});

function performance(minutes, firing) {
  const p50 = firing ? 702 : 414.2;
  const components = [
    component("pipeline", {
      stages: [stage("total", p50, 1284), stage("overhead", 2.1, 1284)],
      counts: { turns: 1284 },
    }),
    component("turn", { stages: [stage("end_of_turn", 224, 1284), stage("interruption", 61, 96)] }),
    component("stt", { stages: [stage("transcription", 41.3, 1310, 1)] }),
    component("llm", {
      stages: [stage("first_token", 73.4, 1290, firing ? 31 : 3)],
      counts: { input_tokens: 812_345, cached_tokens: 655_120, output_tokens: 91_204 },
    }),
    component("tts", { stages: [stage("first_audio", 99.1, 1288)] }),
    component("vad", { stages: [stage("frame", 0.21, 412_000)] }),
    component("memory", { stages: [idle("recall")] }),
    component("transport", {
      counts: { calls: 312, completed: 301, lost: 4, drained: 0 },
      levels: [level("active", 7, "calls", 1000)],
    }),
    component("pool", {
      levels: [level("waiting", firing ? 960 : 3, "jobs", 1024)],
      tunables: [{ name: "threads", value: 2, min: 1, max: 2, unit: "threads", live: false }],
    }),
    component("usage", {
      counts: { "stt deepgram seconds": 7_200, "stt moonshine seconds": 60, "tts cartesia characters": 48_213 },
    }),
    component("cache replies", { counts: { hits: 612, misses: 188 } }),
    component("cache speech", { counts: { hits: 0, misses: 0 } }),
    component("breaker", {
      levels: [
        level("breaker llm", 0, "state"),
        level("breaker stt", 1, "state"),
        level("breaker tts", firing ? 2 : 0, "state"),
      ],
    }),
    component("process", {
      levels: [
        level("cpu", 1.37, "cores", 4),
        level("memory", 803_000_000, "bytes"),
        level("threads", 19, "threads"),
        level("open_files", 812, "files", 1024),
        level("network_in", 71_000, "bytes/s"),
        level("network_out", 93_000, "bytes/s"),
        level("cpu_per_call", 21.4, "ms/call-s"),
        level("memory_per_call", 412_000, "bytes"),
      ],
    }),
  ];
  return { window_s: 60 * minutes, components };
}

function history(minutes, points) {
  const step = (60 * minutes) / points;
  const end = Math.floor(now() / step) * step;
  const each = (value) => Array.from({ length: points }, (_, i) => value(i));
  const gap = (i, value) => (i > 34 && i < 41 ? null : value);
  const measured = (name, base) => {
    const [component, stage] = name.split("/");
    const line = (factor) => each((i) => gap(i, factor * (base + wave(i + base, 0.3 * base))));
    return {
      component,
      stage,
      count: each((i) => Math.round(gap(i, wave(i, 22)) ?? 0)),
      p50_ms: line(1),
      p95_ms: line(1.28),
      p99_ms: each((i) => gap(i, 1.4 * base + wave(2 * i, 0.9 * base))),
    };
  };
  const used = (name, unit, most, { least = 0, component = "process" } = {}) => ({
    component,
    name,
    unit,
    values: each((i) => least + wave(i + name.length, most)),
  });
  return {
    step_s: step,
    at: each((i) => end - (points - 1 - i) * step),
    stages: [
      measured("pipeline/total", 390),
      measured("pipeline/overhead", 2),
      measured("stt/transcription", 40),
      measured("llm/first_token", 70),
      measured("tts/first_audio", 95),
    ],
    levels: [
      used("cpu", "cores", 2.6),
      used("memory", "bytes", 9e7, { least: 7.5e8 }),
      used("network_in", "bytes/s", 71_000),
      used("network_out", "bytes/s", 93_000),
      used("active", "calls", 12, { component: "transport" }),
    ],
  };
}

function turns(start) {
  return Array.from({ length: 24 }, (_, i) => {
    const stretch = 1 + wave(i, 0.5) + (i === 5 ? 0.9 : 0);
    const [heard, text, token, sound] = [96 * stretch, 137 * stretch, 211 * stretch, 311 * stretch];
    const steps = [
      ["silence", 0, heard],
      ["stt", heard, text],
      ["llm", text + 1, token],
      ["tts", token + 1, sound],
      ["end_of_turn", 0, 224 * stretch],
    ];
    return {
      call_id: `call_${47 - (i % 7)}`,
      turn: 24 - i,
      at: start - 11.3 * i,
      transport: ["twilio", "talk", "openai"][i % 3],
      latency_ms: latency(sound + 21),
      steps: steps.map(([name, from, to]) => ({ name, start_ms: i === 2 ? from - 60 : from, end_ms: to })),
    };
  });
}

function alerts(start, firing) {
  const alert = (rule, subject, state, from, until, value, threshold, unit, message) => ({
    rule,
    subject,
    state,
    since: start - from,
    until: until && start - until,
    value,
    threshold,
    unit,
    message,
  });
  const past = [
    alert("errors", "llm", "resolved", 5400, 5100, 0.08, 0.05, "", "llm: 8 % of the requests fail"),
    alert("queue", "pool waiting", "resolved", 9000, 8970, 940, 819, "jobs", "pool: 940 of 1,024 jobs wait"),
  ];
  const live = [
    alert(
      "latency",
      "pipeline total",
      "firing",
      252,
      null,
      912,
      640,
      "ms",
      "pipeline total: p95 is 912 ms, 1.8 times its baseline of 502 ms",
    ),
  ];
  return firing ? [...live, ...past] : past;
}

const recommendations = [
  {
    title: "Use 2 llama.cpp threads",
    gain: "-12 % turn latency (95 %: -15 to -9)",
    evidence: "measured 2026-11-21, 8 rounds",
    command: "antiphon optimize --apply",
  },
  {
    title: "Load a smaller voice",
    gain: "-31 ms to the first sound (95 %: -38 to -22)",
    evidence: "measured 2026-11-21, 8 rounds",
    command: "antiphon models pull voice-small",
  },
];

const grade = (firing) => ({
  letter: firing ? "C" : "A",
  reasons: [
    {
      metric: "turn_p50",
      letter: firing ? "C" : "A+",
      text: `half of the turns answer within ${firing ? 702 : 414} ms`,
    },
    { metric: "turn_p95", letter: firing ? "D" : "A", text: `95 % of them within ${firing ? 912 : 543} ms` },
    { metric: "errors", letter: "B", text: "3 of 1,290 requests to engines failed" },
  ],
});

const EMPTY = {
  "/api/calls": { data: [], limit: 1000, has_more: false },
  "/api/performance": { window_s: 3600, components: [] },
  "/api/performance/history": { step_s: 30, at: [], stages: [], levels: [] },
  "/api/performance/turns": { data: [] },
  "/api/performance/alerts": { data: [] },
  "/api/performance/recommendations": { data: [] },
  "/api/performance/grade": { letter: null, reasons: [] },
};

function answer(url, start, state) {
  const [minutes, points] = ["minutes", "points"].map((name) => Number(url.searchParams.get(name)));
  const firing = state === "firing";
  const full = {
    "/api/calls": () => calls(start - 12),
    "/api/performance": () => performance(minutes, firing),
    "/api/performance/history": () => history(minutes, points),
    "/api/performance/turns": () => ({ data: turns(start) }),
    "/api/performance/alerts": () => ({ data: alerts(start, firing) }),
    "/api/performance/recommendations": () => ({ data: recommendations }),
    "/api/performance/grade": () => grade(firing),
  };
  return state === "empty" ? EMPTY[url.pathname] : full[url.pathname]?.();
}

/** Starts the server; its `state` may be changed while it runs. */
export async function start(state, port = 0) {
  const begun = now();
  const mock = { state };
  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://localhost");
    const send = (status, body, kind) => {
      response.writeHead(status, {
        "content-type": kind,
        "content-security-policy": "default-src 'self'",
        "x-content-type-options": "nosniff",
      });
      response.end(body);
    };
    if (!url.pathname.startsWith("/api/")) {
      const path = normalize(NAMES[url.pathname] ?? url.pathname);
      try {
        return send(200, readFileSync(join(WEB, path)), KINDS[extname(path)] ?? "text/plain");
      } catch {
        return send(404, "not found", "text/plain");
      }
    }
    if (mock.state === "down") return request.socket.destroy();
    if (mock.state === "key" && request.headers.authorization !== `Bearer ${KEY}`)
      return send(401, "{}", "application/json");
    const body = answer(url, begun, mock.state);
    return send(body ? 200 : 404, JSON.stringify(body ?? {}), "application/json");
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  mock.url = `http://127.0.0.1:${server.address().port}`;
  mock.stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return mock;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await start(process.argv[2] ?? "full", 8099);
  console.log(`${url}/dashboard`);
}
