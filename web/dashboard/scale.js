// Round numbers for axes.
const TIMES = [
  10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 432_000, 864_000,
];

// Steps of 1, 2 and 5 times a power of ten; those of bytes within a power of 1024.
function round(step, unit) {
  const base = unit.startsWith("bytes") ? 1024 ** Math.max(0, Math.floor(Math.log2(step) / 10)) : 1;
  const scaled = step / base;
  const power = 10 ** Math.floor(Math.log10(scaled));
  return base * power * [1, 2, 5, 10].find((factor) => factor * power >= scaled);
}

/** Values from 0 to at least `most` (0 is taken for 1), in about `wanted` equal and round steps. */
export function ticks(most, unit, wanted) {
  const step = round((most || 1) / wanted, unit);
  const last = Math.ceil((most || 1) / step - 1e-9);
  return Array.from({ length: last + 1 }, (_, i) => i * step);
}

/** At most `wanted` round local times between two Unix times, and the seconds between them. */
export function timeTicks(from, to, wanted) {
  const step = TIMES.find((size) => (to - from) / size <= wanted) ?? Math.ceil((to - from) / wanted / 86_400) * 86_400;
  const zone = -60 * new Date(1000 * from).getTimezoneOffset();
  const first = Math.ceil((from + zone) / step) * step - zone;
  const times = [];
  for (let time = first; time <= to; time += step) times.push(time);
  return { step, times };
}
