// Formats figures, sizes and times as text.
const number = (digits) => new Intl.NumberFormat("en", { maximumFractionDigits: digits });
const NUMBERS = [number(0), number(1), number(2), number(3), number(4)];
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** The text for a missing figure. */
export const NONE = "–";

const known = (value, show) => (Number.isFinite(value) ? show(value) : NONE);

/** A figure with fewer decimals the larger it is. */
export const plain = (value) =>
  known(value, (v) => NUMBERS[Math.abs(v) >= 100 || Number.isInteger(v) ? 0 : Math.abs(v) >= 10 ? 1 : 2].format(v));

/** A count; large ones are shortened: 12.3K. */
export const count = (value) => known(value, (v) => (v >= 10_000 ? compact : NUMBERS[0]).format(v));

/** Milliseconds, from 10 s on as seconds. */
export const ms = (value) =>
  known(value, (v) =>
    Math.abs(v) >= 10_000 ? `${NUMBERS[1].format(v / 1000)} s` : `${NUMBERS[Math.abs(v) < 10 ? 1 : 0].format(v)} ms`,
  );

/** Bytes in KiB, MiB and so on. */
export function bytes(value) {
  return known(value, (v) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.abs(v) || 1) / 10)));
    const scaled = v / 1024 ** power;
    return `${NUMBERS[scaled < 10 && power ? 1 : 0].format(scaled)} ${units[power]}`;
  });
}

export const percent = (share) => known(share, (v) => `${NUMBERS[v > 0 && v < 0.1 ? 1 : 0].format(100 * v)} %`);

export const money = (value) => known(value, (v) => NUMBERS[v < 1 ? 4 : 2].format(v));

/** A value of a level in its unit. */
export function measure(value, unit) {
  if (unit === "bytes") return bytes(value);
  if (unit === "bytes/s") return known(value, (v) => `${bytes(v)}/s`);
  if (unit === "ms") return ms(value);
  return known(value, (v) => `${v >= 10_000 ? count(v) : plain(v)} ${unit}`.trim());
}

/** A span of seconds: 42 s, 3:07, 1:02:09. */
export function duration(seconds) {
  return known(seconds, (v) => {
    const whole = Math.max(0, Math.floor(v));
    if (whole < 60) return `${whole} s`;
    const two = (part) => String(part).padStart(2, "0");
    const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
    return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  });
}

const SPANS = [
  [172_800, 86_400, "d"],
  [3600, 3600, "h"],
  [120, 60, "min"],
  [0, 1, "s"],
];

/** A span of seconds roughly: 45 s, 15 min, 6 h, 7 d. */
export function span(seconds) {
  return known(seconds, (v) => {
    const [, size, unit] = SPANS.find(([least]) => v >= least) ?? SPANS.at(-1);
    return `${NUMBERS[1].format(v / size)} ${unit}`;
  });
}

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const DAY = { day: "numeric", month: "short" };

/** The time of day of Unix seconds, in the reader's time zone. */
export const clock = (at) => new Date(1000 * at).toLocaleTimeString("en-GB", { ...CLOCK, second: "2-digit" });

/** The time of day without seconds. */
export const minute = (at) => new Date(1000 * at).toLocaleTimeString("en-GB", CLOCK);

export const day = (at) => new Date(1000 * at).toLocaleDateString("en-GB", DAY);

/** Day and time; the day is left out when it is today. */
export function moment(at) {
  const today = new Date(1000 * at).toDateString() === new Date().toDateString();
  return today ? clock(at) : `${day(at)}, ${minute(at)}`;
}

/** A name of the API as words: `first_token` is "first token". */
export const words = (name) => name.replaceAll("_", " ");
