// Talks through OpenAI's agents SDK: a turn, a tool that it runs itself, an interruption.
// The environment is that of check.py.

import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";

const RATE = 24_000;

function check(what, holds, seen) {
  console.log(holds ? "ok    " : "FAILED", what, holds ? "" : JSON.stringify(seen));
  if (!holds) process.exit(1);
}

const late = setTimeout(() => check("the script ends in time", false), 60_000);

function tone(seconds) {
  const samples = new Int16Array(RATE * seconds);
  for (let n = 0; n < samples.length; n++) samples[n] = Math.floor(n / 60) % 2 ? 6_000 : -6_000;
  return samples.buffer;
}

async function until(what, holds) {
  for (let n = 0; n < 2_000; n++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  check(what, false);
}

async function open(agent) {
  const url = `${process.env.ANTIPHON_URL.replace("http", "ws")}/v1/realtime`;
  const transport = new OpenAIRealtimeWebSocket({ url });
  const session = new RealtimeSession(agent, { transport, model: "gpt-realtime" });
  const seen = { errors: [], events: [], audio: 0, interrupted: 0 };
  session.on("error", (error) => seen.errors.push(error));
  session.on("audio", (event) => (seen.audio += event.data.byteLength));
  session.on("audio_interrupted", () => seen.interrupted++);
  transport.on("*", (event) => seen.events.push(event));
  await session.connect({ apiKey: process.env.ANTIPHON_KEY });
  const done = () => seen.events.filter((event) => event.type === "response.done").length;
  return { session, seen, done };
}

function texts(session) {
  return session.history
    .filter((item) => item.type === "message")
    .map((item) => item.content.map((part) => part.transcript ?? part.text ?? "").join(" "));
}

{
  const { session, seen, done } = await open(new RealtimeAgent({ name: "Echo", instructions: "Repeat." }));
  session.sendMessage("hello there");
  await until("a typed turn is answered", () => done() === 1);
  check("its audio comes", seen.audio > RATE / 2, seen.audio);
  // The SDK asks for semantic turn detection: speech, then silence.
  session.sendAudio(tone(2.1));
  session.sendAudio(new ArrayBuffer(2 * RATE * 5));
  await until("a spoken turn is answered", () => done() === 2);
  await until("the history holds what was said", () => texts(session).includes("one word one word"));

  session.sendMessage("endless");
  const before = seen.audio;
  await until("a long reply begins", () => seen.audio > before);
  session.sendAudio(tone(0.5));
  await until("speech interrupts it", () => seen.interrupted > 0 && done() === 3);
  const cancelled = seen.events.findLast((event) => event.type === "response.done").response;
  check("and cancels the response", cancelled.status === "cancelled", cancelled);
  check("without an error", seen.errors.length === 0, seen.errors);
  session.close();
}

{
  const calls = [];
  const weather = tool({
    name: "weather",
    description: "The weather of a city",
    strict: false,
    parameters: { type: "object", properties: { city: { type: "string" } }, required: [], additionalProperties: true },
    execute: async ({ city }) => {
      calls.push(city);
      return `it is sunny in ${city}`;
    },
  });
  const agent = new RealtimeAgent({ name: "Weather", instructions: "Tell the weather.", tools: [weather] });
  const { session, seen, done } = await open(agent);
  session.sendMessage("once: how is the weather?");
  await until("the SDK runs the tool", () => calls.length > 0);
  check("with the model's arguments", calls[0] === "Ulm", calls);
  await until("and asks for a reply to its output", () => done() >= 2);
  const output = texts(session).some((text) => text.includes("it is sunny in Ulm"));
  check("which the model has read", output, texts(session));
  check("once", calls.length === 1, calls);
  check("without an error", seen.errors.length === 0, seen.errors);
  session.close();
}

clearTimeout(late);
