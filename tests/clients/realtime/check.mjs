// Uses OpenAI Realtime through npm's openai as its users do, over TLS: the library knows nothing else.
// The environment is that of check.py.

import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import WebSocket from "ws";

const baseURL = `${process.env.ANTIPHON_URL}/v1`;
const client = new OpenAI({ baseURL, apiKey: process.env.ANTIPHON_KEY, dangerouslyAllowBrowser: true });

function check(what, holds, seen) {
  console.log(holds ? "ok    " : "FAILED", what, holds ? "" : JSON.stringify(seen));
  if (!holds) process.exit(1);
}

function next(connection, kind) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no ${kind}`)), 20_000);
    connection.on(kind, function once(event) {
      clearTimeout(late);
      connection.off(kind, once);
      resolve(event);
    });
  });
}

async function converse(name, connection) {
  const errors = [];
  connection.on("error", (error) => errors.push(error));
  await next(connection, "session.created");
  connection.send({ type: "session.update", session: { type: "realtime", output_modalities: ["text"] } });
  const updated = await next(connection, "session.updated");
  check(`${name}: the session is configured`, updated.session.output_modalities[0] === "text", updated);
  const content = [{ type: "input_text", text: "say it back" }];
  connection.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  connection.send({ type: "response.create" });
  let text = "";
  connection.on("response.output_text.delta", (event) => (text += event.delta));
  const done = await next(connection, "response.done");
  check(`${name}: a reply is streamed`, text === "say it back", text);
  check(`${name}: and told whole`, done.response.output[0].content[0].text === text, done);
  check(`${name}: without an error`, errors.length === 0, errors.map(String));
  connection.close();
}

await converse("ws", new OpenAIRealtimeWS({ model: "gpt-realtime" }, client));
// Node 20 has no WebSocket of its own; this one keeps the browser's interface.
globalThis.WebSocket ??= WebSocket;
await converse("websocket", new OpenAIRealtimeWebSocket({ model: "gpt-realtime", dangerouslyAllowBrowser: true }, client));
