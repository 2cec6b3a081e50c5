// Uses OpenAI's REST API through npm's openai as its users do. The environment is that of check.py.

import OpenAI, { toFile } from "openai";

const baseURL = `${process.env.ANTIPHON_URL}/v1`;
const client = new OpenAI({ baseURL, apiKey: process.env.ANTIPHON_KEY ?? "none", maxRetries: 0, timeout: 60_000 });

function check(what, holds, seen) {
  console.log(holds ? "ok    " : "FAILED", what, holds ? "" : JSON.stringify(seen));
  if (!holds) process.exit(1);
}

async function rejects(what, kind, call) {
  const error = await call().then(() => null, (error) => error);
  check(what, error instanceof kind && error.message, String(error));
}

/** Two seconds of noise at 16 kHz. */
function noise() {
  const bytes = Buffer.alloc(44 + 64_000);
  bytes.write("RIFF", 0);
  bytes.writeUInt32LE(36 + 64_000, 4);
  bytes.write("WAVEfmt ", 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(16_000, 24);
  bytes.writeUInt32LE(32_000, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write("data", 36);
  bytes.writeUInt32LE(64_000, 40);
  for (let at = 44, state = 1; at < bytes.length; at += 2) {
    state = (state * 48_271) % 2_147_483_647;
    bytes.writeInt16LE((state % 16_000) - 8_000, at);
  }
  return toFile(bytes, "noise.wav");
}

const names = [];
for await (const model of client.models.list()) names.push(model.id);
check("models: list", names.length >= 2, names);
await rejects("models: unknown", OpenAI.NotFoundError, () => client.models.retrieve("no-such-model"));

const vectors = await client.embeddings.create({ model: "m", input: ["red apples", "green pears"] });
check("embeddings", vectors.data.length === 2 && vectors.data[0].embedding.length > 1, vectors);

const messages = [{ role: "user", content: "Say hello." }];
const reply = await client.chat.completions.create({ model: "gpt-4o", messages, temperature: 0, max_tokens: 30 });
const stream = await client.chat.completions.create({
  model: "gpt-4o", messages, temperature: 0, max_tokens: 30, stream: true,
});
let text = "";
for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
check("chat: the stream says the same", text === reply.choices[0].message.content, text);
await rejects("chat: n=2", OpenAI.BadRequestError, () => client.chat.completions.create({ model: "m", messages, n: 2 }));

const speech = await client.audio.speech.create({
  model: "tts-1", voice: "alloy", input: "Hello there.", response_format: "wav",
});
const audio = Buffer.from(await speech.arrayBuffer());
check("speech: wav", audio.subarray(0, 4).toString() === "RIFF" && audio.length > 1_000, audio.length);

const file = await noise();
const transcription = await client.audio.transcriptions.create({ model: "whisper-1", file });
check("transcription: json", typeof transcription.text === "string", transcription);
const events = [];
for await (const event of await client.audio.transcriptions.create({ model: "m", file: await noise(), stream: true })) {
  events.push(event);
}
const last = events.at(-1);
check("transcription: stream", last.type === "transcript.text.done" && last.text === transcription.text, events);
console.log("all is well");
