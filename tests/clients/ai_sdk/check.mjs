// Uses the server through the AI SDK at its defaults, which is OpenAI's responses API for text.
//
// ANTIPHON_URL   the server; its language model repeats what it is told, or calls the first tool
// ANTIPHON_KEY   a key of it

import { createOpenAI } from "@ai-sdk/openai";
import { embed, experimental_generateSpeech, experimental_transcribe, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const openai = createOpenAI({ baseURL: `${process.env.ANTIPHON_URL}/v1`, apiKey: process.env.ANTIPHON_KEY });
const model = openai("gpt-4o");

function check(what, holds, seen) {
  console.log(holds ? "ok    " : "FAILED", what, holds ? "" : JSON.stringify(seen));
  if (!holds) process.exit(1);
}

const weather = tool({
  description: "The weather in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `rain in ${city}`,
});

const said = await generateText({ model, prompt: "to be or not", maxRetries: 0 });
check("generateText", said.text === "to be or not" && said.usage.outputTokens > 0, said);

const stream = streamText({ model, prompt: "to be or not", maxRetries: 0 });
const pieces = [];
for await (const piece of stream.textStream) pieces.push(piece);
check("streamText", pieces.join("") === "to be or not" && pieces.length > 1, pieces);
check("streamText: finish", (await stream.finishReason) === "stop", await stream.finishReason);

const called = await generateText({
  model, prompt: "weather?", tools: { weather }, stopWhen: stepCountIs(3), maxRetries: 0,
});
check("tools: called and answered", called.text.includes("rain in Ulm") && called.steps.length === 2, called.text);

// What was said before is referred to by its id.
const again = await generateText({
  model, maxRetries: 0,
  messages: [{ role: "user", content: "one" }, ...said.response.messages, { role: "user", content: "two" }],
});
check("the conversation goes on", again.text === "two", again.text);

const object = await generateObject({
  model, schema: z.object({ city: z.string() }), prompt: '{"city":"Ulm"}', maxRetries: 0,
});
check("generateObject", object.object.city === "Ulm", object.object);

const chat = await generateText({ model: openai.chat("gpt-4o"), prompt: "to be or not", maxRetries: 0 });
check("chat", chat.text === "to be or not", chat.text);

const vector = await embed({ model: openai.embedding("text-embedding-3-small"), value: "hello", maxRetries: 0 });
check("embed", vector.embedding.length > 0 && vector.usage.tokens > 0, vector.usage);

const speech = await experimental_generateSpeech({ model: openai.speech("tts-1"), text: "To be or not to be, that is the question.", maxRetries: 0 });
check("generateSpeech: MP3 by default", speech.audio.mediaType === "audio/mpeg" && speech.audio.uint8Array.length > 500, speech.audio.mediaType);

const heard = await experimental_transcribe({
  model: openai.transcription("whisper-1"), audio: speech.audio.uint8Array, maxRetries: 0,
});
check("transcribe", heard.text.length > 0, heard);
