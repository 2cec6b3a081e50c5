// The talk page: microphone up, speech and events down, over one WebSocket. See docs/talk-protocol.md.
const RATE = 24000;
const RETRIES = 6;
const SURE = 0.8;
const STAGES = [["end_of_turn", "end of turn"], ["stt", "speech to text"], ["llm_ttft", "language model"], ["tts_ttfb", "voice"]];
const PHASES = { listening: "listening", possible_end: "go on, or wait", thinking: "thinking", speaking: "speaking", interrupted: "interrupted" };

const $ = (id) => document.getElementById(id);
const log = $("log");
let socket, context, microphone, muted = false, wanted = false, retries = 0;
let playAt = 0, playing = new Set();
let mine = null, theirs = new Map();

function state(phase, text = PHASES[phase]) {
  $("state").dataset.phase = phase;
  $("state-text").textContent = text ?? phase;
}

function notice(text) {
  $("notice").textContent = text ?? "";
  $("notice").hidden = !text;
}

function bubble(kind) {
  $("hint").hidden = true;
  const item = document.createElement("li");
  item.className = kind;
  const who = document.createElement("span");
  who.className = "sr-only";
  who.textContent = kind === "you" ? "You: " : "Agent: ";
  const words = document.createElement("span");
  item.append(who, words);
  log.append(item);
  return { item, words, text: "" };
}

function show(entry, text) {
  entry.text = text;
  entry.words.textContent = text;
  entry.item.scrollIntoView({ block: "end" });
}

function latency(entry, ms, cached) {
  const box = document.createElement("div");
  box.className = "latency";
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.setAttribute("aria-hidden", "true");
  for (const [key] of STAGES) {
    const part = document.createElement("i");
    part.className = key;
    part.style.flexGrow = Math.max(ms[key], 1);
    bar.append(part);
  }
  const words = STAGES.map(([key, name]) => `${name} ${Math.round(ms[key])}`).join(" · ");
  const text = document.createElement("div");
  text.textContent = `first sound after ${Math.round(ms.total)} ms: ${words} (they overlap)`;
  if (cached) {
    const mark = document.createElement("span");
    mark.className = "cached";
    mark.textContent = "from the cache";
    text.prepend(mark, " ");
  }
  box.append(bar, text);
  entry.item.append(box);
  entry.item.scrollIntoView({ block: "end" });
}

const events = {
  phase: ({ phase }) => state(phase),
  user_text({ item, text, done }) {
    if (!mine || mine.id !== item) mine = Object.assign(bubble("you"), { id: item });
    mine.item.classList.toggle("partial", !done);
    if (text) show(mine, text);
    else if (done) mine.item.remove();
    if (done) mine = null;
  },
  speech_dropped({ item }) {
    if (mine?.id === item) { mine.item.remove(); mine = null; }
  },
  reply_started({ reply, turn }) { theirs.set(reply, { turn }); },
  reply_text({ reply, delta }) {
    const known = theirs.get(reply) ?? {};
    const entry = known.item ? known : Object.assign(bubble("agent"), known);
    theirs.set(reply, entry);
    show(entry, entry.text + delta);
  },
  interrupted({ reply, text }) {
    const entry = theirs.get(reply);
    if (!entry?.item) return;
    const rest = entry.text.startsWith(text) ? entry.text.slice(text.length) : entry.text;
    const unheard = document.createElement("s");
    unheard.textContent = rest;
    const label = document.createElement("span");
    label.className = "cut";
    label.textContent = "interrupted";
    entry.words.replaceChildren(text, unheard, label);
  },
  latency({ turn, latency_ms, served_from_cache }) {
    const entries = [...theirs.values()].filter((e) => e.turn === turn && e.item);
    if (entries.length) latency(entries.at(-1), latency_ms, served_from_cache);
    else setTimeout(() => events.latency({ turn, latency_ms, served_from_cache }), 200);
  },
  // The emotion is shown beside the person's words. An uncertain guess would only puzzle them, so it is left out.
  emotion({ emotion, confidence }) {
    const said = [...log.querySelectorAll(".you")].at(-1);
    if (!said || emotion === "neutral" || confidence < SURE || said.querySelector(".mood")) return;
    const mood = document.createElement("span");
    mood.className = "mood";
    mood.textContent = emotion;
    mood.title = `the words sound of ${emotion} (${Math.round(confidence * 100)} % sure)`;
    said.append(mood);
  },
  clear: () => silence(),
  error: ({ message }) => notice(message),
  hangup: () => stop("the agent ended the call"),
};

function silence() {
  for (const source of playing) source.stop();
  playing.clear();
  playAt = 0;
}

function play(buffer) {
  if (!context) return;
  const samples = new Int16Array(buffer, 4);
  const audio = context.createBuffer(1, samples.length, RATE);
  const channel = audio.getChannelData(0);
  for (let i = 0; i < samples.length; i++) channel[i] = samples[i] / 32768;
  const source = context.createBufferSource();
  source.buffer = audio;
  source.connect(context.destination);
  // 40 ms of delay hide packets that come a little late.
  if (playAt < context.currentTime) playAt = context.currentTime + 0.04;
  source.start(playAt);
  playAt += audio.duration;
  playing.add(source);
  source.onended = () => playing.delete(source);
  window.antiphonPlayed = (window.antiphonPlayed ?? 0) + samples.length;
}

function connect() {
  const url = new URL("/talk/ws", location.href);
  // With /?person=NAME the server remembers what is said under this name.
  const person = new URLSearchParams(location.search).get("person");
  if (person) url.searchParams.set("person", person);
  url.protocol = url.protocol.replace("http", "ws");
  const key = sessionStorage.getItem("antiphon-key");
  socket = new WebSocket(url, key ? ["realtime", `openai-insecure-api-key.${key}`] : []);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { retries = 0; notice(); state("listening"); };
  socket.onmessage = ({ data }) => {
    if (typeof data !== "string") return play(data);
    const event = JSON.parse(data);
    events[event.type]?.(event);
  };
  socket.onclose = async () => {
    silence();
    if (!wanted) return;
    state("off", "not connected");
    if (retries === 0 && await refused()) return;
    if (retries >= RETRIES) return stop("The server cannot be reached. Is it running? Press Talk to try again.");
    const wait = Math.min(8000, 500 * 2 ** retries++);
    notice(`The connection was lost; trying again in ${Math.round(wait / 1000) || 1} s.`);
    setTimeout(() => wanted && connect(), wait);
  };
}

// Finds out why the server refused the call: the key is missing, or the server is full.
async function refused() {
  try {
    const answer = await fetch("/talk/ready", { headers: key() });
    if (answer.status === 401) {
      const given = prompt("This server asks for a key:");
      if (!given) { stop("A key is needed."); return true; }
      sessionStorage.setItem("antiphon-key", given);
    } else if (answer.status === 503) {
      stop((await answer.json()).detail ?? "The server is busy; try again in a moment.");
      return true;
    }
  } catch { /* The server cannot be reached; the next attempt will show why. */ }
  return false;
}

function key() {
  const known = sessionStorage.getItem("antiphon-key");
  return known ? { authorization: `Bearer ${known}` } : {};
}

async function listen() {
  if (!window.isSecureContext) throw new Error("Microphones work only on https:// or on localhost. You can write instead.");
  if (!navigator.mediaDevices?.getUserMedia) throw new Error("This browser gives no access to a microphone. You can write instead.");
  try {
    microphone = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
    });
  } catch (error) {
    const why = { NotAllowedError: "The microphone was not allowed.", NotFoundError: "There is no microphone." };
    throw new Error(`${why[error.name] ?? "The microphone cannot be opened."} You can write instead.`);
  }
  await context.audioWorklet.addModule("/capture.js");
  const source = context.createMediaStreamSource(microphone);
  const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
  capture.port.onmessage = ({ data }) => {
    const samples = new Int16Array(data);
    let peak = 0;
    for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
    $("level").value = muted ? 0 : peak / 32768;
    // Drop audio while the connection is congested, because speech that arrives late is useless.
    if (!muted && socket?.readyState === WebSocket.OPEN && socket.bufferedAmount < 64000) socket.send(data);
  };
  source.connect(capture);
  for (const id of ["mute", "level"]) $(id).hidden = false;
}

async function start(withMicrophone) {
  notice();
  context ??= new AudioContext({ latencyHint: "interactive" });
  await context.resume();
  if (withMicrophone && !microphone) await listen().catch((error) => notice(error.message));
  if (!wanted) {
    wanted = true;
    retries = 0;
    connect();
  }
  $("talk").textContent = microphone ? "End" : "Talk";
}

function stop(why) {
  wanted = false;
  silence();
  microphone?.getTracks().forEach((track) => track.stop());
  microphone = undefined;
  socket?.close();
  for (const id of ["mute", "level"]) $(id).hidden = true;
  $("talk").textContent = "Talk";
  state("off", "not connected");
  notice(why);
}

function mute() {
  muted = !muted;
  $("mute").setAttribute("aria-pressed", muted);
  $("mute").textContent = muted ? "Unmute" : "Mute";
}

$("talk").onclick = () => (microphone ? stop() : start(true));
$("mute").onclick = mute;
$("write").onsubmit = async (submit) => {
  submit.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  await start(false);
  const send = () => socket.send(JSON.stringify({ type: "text", text }));
  if (socket.readyState === WebSocket.OPEN) send();
  else socket.addEventListener("open", send, { once: true });
};
document.addEventListener("keydown", (press) => {
  if (press.code === "Space" && press.target === document.body && microphone) {
    press.preventDefault();
    mute();
  }
});
