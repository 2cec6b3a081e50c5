// Sends requests to the server, with the key if there is one.
const KEY = "antiphon-key";
const PATIENCE_MS = 4000;

/** Why a request failed: `key` (missing or wrong), `down` (no answer) or `failed` (an error as the answer). */
export class NoAnswer extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

let behind = 0;

/** The server's time in Unix seconds: the clock of this device may be wrong. */
export const now = () => Date.now() / 1000 + behind;

/** Whether a key was given before. */
export const hasKey = () => sessionStorage.getItem(KEY) !== null;

/** Stores the key until the tab is closed. */
export const keepKey = (key) => sessionStorage.setItem(KEY, key);

/** The JSON at `path`, or null when this server was built without that part. Throws `NoAnswer`. */
export async function get(path) {
  let answer;
  const key = sessionStorage.getItem(KEY);
  try {
    answer = await fetch(path, {
      headers: key === null ? {} : { authorization: `Bearer ${key}` },
      signal: AbortSignal.timeout(PATIENCE_MS),
      cache: "no-store",
    });
  } catch {
    throw new NoAnswer("down", "the server does not answer");
  }
  if (answer.status === 401 || answer.status === 403) throw new NoAnswer("key", "a key is needed");
  if (answer.status === 404 || answer.status === 501) return null;
  const name = path.split("?")[0];
  if (!answer.ok) throw new NoAnswer("failed", `${name} answered ${answer.status}`);
  setClock(answer.headers.get("date"));
  return answer.json().catch(() => {
    throw new NoAnswer("failed", `${name} did not answer with JSON`);
  });
}

// The header has only whole seconds, so smaller differences mean nothing.
function setClock(date) {
  const server = Date.parse(date);
  if (Number.isNaN(server)) return;
  const difference = (server - Date.now()) / 1000;
  behind = Math.abs(difference) > 2 ? difference : 0;
}
