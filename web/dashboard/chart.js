// Line charts over time, which can be read with the pointer, with the arrow keys or as a table, and small lines for tables.
import { h, svg, update } from "/dashboard/dom.js";
import { clock, count, day, minute, moment } from "/dashboard/format.js";
import { ticks, timeTicks } from "/dashboard/scale.js";

const ROOM = { top: 8, right: 10, bottom: 22 };
const STRIP = 22;
const CHARACTER = 7;

/** Splits a series at its gaps into lists of [x, y]. */
function runs(values, x, y) {
  const all = [[]];
  values.forEach((value, i) => {
    if (Number.isFinite(value)) all.at(-1).push([x(i), y(value)]);
    else if (all.at(-1).length) all.push([]);
  });
  return all.filter((run) => run.length);
}

// A single point is drawn as a line of almost no length; its round ends make it a dot.
const path = (run) =>
  `M${run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}${run.length === 1 ? "h.01" : ""}`;

/** A small line without axes, as decoration beside its figures. */
export function spark(values) {
  const most = Math.max(...values.filter(Number.isFinite), 0);
  const x = (i) => 2 + (96 * i) / Math.max(1, values.length - 1);
  const y = (value) => 22 - (20 * value) / (most || 1);
  const lines = runs(values, x, y).map((run) => svg("path", { d: path(run) }));
  return svg("svg.spark", { viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" }, ...lines);
}

/** Draws a line chart in `box`, from data of this shape:
 *
 * `{ at, series: [{ key, label, values }], format, unit, limit?, volume?: { label, values }, empty }`, with `at` in Unix
 * seconds, `key` for the looks, `limit` for a line that is drawn where it is near, `volume` for bars below, and
 * `empty` is the text that is shown when there is no value at all. */
export class LineChart {
  #box;
  #name;
  #height;
  #data = null;
  #cursor = null;
  #readout = h("ul.readout");
  #drawing = svg("svg", { "aria-hidden": "true" });
  #mark = svg("g");
  #plot;
  #table = h("div.scroll", { role: "region", tabindex: "0" });
  #details = h("details", {}, h("summary", {}, "Figures as a table"), this.#table);
  #empty = h("p.empty");

  constructor(box, { name, height }) {
    this.#box = box;
    this.#name = name;
    this.#height = height;
    this.#plot = h(
      "div.plot",
      { role: "slider", tabindex: "0", "aria-valuemin": "0", style: { height: `${height}px` } },
      this.#drawing,
    );
    this.#table.setAttribute("aria-label", `${name} as a table`);
    box.append(this.#empty, this.#readout, this.#plot, this.#details);
    new ResizeObserver(() => this.#draw()).observe(this.#plot);
    this.#details.addEventListener("toggle", () => this.#fillTable());
    this.#plot.addEventListener("pointermove", (event) => this.#point(this.#indexAt(event)));
    this.#plot.addEventListener("pointerdown", (event) => this.#point(this.#indexAt(event)));
    this.#plot.addEventListener("pointerleave", () => this.#point(null));
    this.#plot.addEventListener("blur", () => this.#point(null));
    this.#plot.addEventListener("keydown", (event) => this.#key(event));
  }

  show(data) {
    this.#data = data;
    const has = data.series.some(({ values }) => values.some(Number.isFinite));
    this.#empty.textContent = data.empty;
    this.#empty.hidden = has;
    for (const part of [this.#readout, this.#plot, this.#details]) part.hidden = !has;
    if (!has) return;
    if (this.#cursor !== null) this.#cursor = Math.min(this.#cursor, data.at.length - 1);
    this.#plot.setAttribute("aria-label", `${data.name ?? this.#name}; arrow keys move through time`);
    this.#plot.setAttribute("aria-valuemax", data.at.length - 1);
    this.#draw();
    this.#fillTable();
  }

  // Show the newest point that has a value, unless the pointer is at another one.
  get #latest() {
    const { at, series } = this.#data;
    return at.findLastIndex((_, i) => series.some(({ values }) => Number.isFinite(values[i])));
  }

  #indexAt({ clientX }) {
    const { x0, x1 } = this.#scale();
    const share = (clientX - this.#plot.getBoundingClientRect().left - x0) / (x1 - x0);
    return Math.round(Math.min(1, Math.max(0, share)) * (this.#data.at.length - 1));
  }

  #key(event) {
    const last = this.#data.at.length - 1;
    const at = this.#cursor ?? this.#latest;
    const moves = {
      ArrowLeft: at - 1,
      ArrowDown: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at + 1,
      PageDown: at - 10,
      PageUp: at + 10,
      Home: 0,
      End: last,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.#point(Math.min(last, Math.max(0, moves[event.key])));
  }

  #point(index) {
    this.#cursor = index;
    this.#read();
  }

  #scale() {
    const { at, series, limit, unit } = this.#data;
    const most = Math.max(...series.flatMap(({ values }) => values.filter(Number.isFinite)), 0);
    const near = limit && most > 0.6 * limit ? limit : 0;
    const steps = ticks(Math.max(most, near) * 1.05, unit, this.#height < 160 ? 3 : 5);
    const labels = steps.map(this.#data.format);
    const x0 = 8 + CHARACTER * Math.max(...labels.map((label) => label.length));
    const x1 = this.#plot.clientWidth - ROOM.right;
    const y0 = this.#height - ROOM.bottom - (this.#data.volume ? STRIP + 4 : 0);
    const x = (i) => x0 + ((x1 - x0) * i) / Math.max(1, at.length - 1);
    const y = (value) => y0 - ((y0 - ROOM.top) * value) / steps.at(-1);
    return { x, y, x0, x1, y0, steps, labels };
  }

  #draw() {
    const width = this.#plot.clientWidth;
    if (!this.#data || !width) return;
    const scale = this.#scale();
    const { x, y, x0, x1, y0, steps, labels } = scale;
    const { series, limit } = this.#data;
    const grid = steps.map((step, i) => [
      svg("line.grid", { x1: x0, x2: x1, y1: y(step), y2: y(step) }),
      svg("text", { x: x0 - 6, y: y(step) + 4, "text-anchor": "end" }, labels[i]),
    ]);
    const lines = series.map(({ key, values }, first) =>
      runs(values, x, y).map((run) => [
        first === 0 && svg("path.area", { d: `${path(run)}V${y0}H${run[0][0]}Z`, "data-series": key }),
        svg("path.line", { d: path(run), "data-series": key }),
      ]),
    );
    const bound = limit && limit <= steps.at(-1) && svg("line.limit", { x1: x0, x2: x1, y1: y(limit), y2: y(limit) });
    this.#drawing.setAttribute("viewBox", `0 0 ${width} ${this.#height}`);
    update(this.#drawing, grid.flat(), this.#hours(scale), this.#bars(scale), bound, lines.flat(2), this.#mark);
    this.#read();
  }

  #hours({ x0, x1 }) {
    const { at } = this.#data;
    const [from, to] = [at[0], at.at(-1)];
    const { step, times } = timeTicks(from, to, Math.max(2, Math.floor((x1 - x0) / 84)));
    const show = step >= 86_400 ? day : step < 60 ? clock : minute;
    return times.map((time) => {
      const x = x0 + ((x1 - x0) * (time - from)) / Math.max(1, to - from);
      return svg(
        "text",
        { x, y: this.#height - 5, "text-anchor": x > x1 - 24 ? "end" : x < x0 + 24 ? "start" : "middle" },
        show(time),
      );
    });
  }

  #bars({ x, x0, x1 }) {
    const { at, volume } = this.#data;
    if (!volume) return [];
    const most = Math.max(...volume.values, 1);
    const width = Math.max(1, (x1 - x0) / at.length - 1);
    const floor = this.#height - ROOM.bottom;
    return volume.values.map((value, i) => {
      const height = value ? Math.max(1.5, (STRIP * value) / most) : 0;
      return svg("rect.volume", { x: Math.max(x0, x(i) - width / 2), y: floor - height, width, height });
    });
  }

  #read() {
    const { at, series, volume, format } = this.#data;
    const i = this.#cursor ?? this.#latest;
    const { x, y, y0 } = this.#scale();
    const dots = series
      .filter(({ values }) => Number.isFinite(values[i]))
      .map(({ key, values }) => svg("circle", { cx: x(i), cy: y(values[i]), r: 4, "data-series": key }));
    const rule = svg("line.cursor", { x1: x(i), x2: x(i), y1: ROOM.top, y2: y0 });
    update(this.#mark, this.#cursor === null ? [] : [rule, ...dots]);
    const figures = series.map(({ key, label, values }) => [key, label, format(values[i] ?? NaN)]);
    const key = (name) =>
      svg(
        "svg.key",
        { viewBox: "0 0 20 8", "aria-hidden": "true" },
        svg("path.line", { d: "M1 4H19", "data-series": name }),
      );
    update(
      this.#readout,
      h("li.when", {}, this.#cursor === null ? "latest" : moment(at[i])),
      figures.map(([name, label, value]) => h("li", {}, key(name), `${label} `, h("b", {}, value))),
      volume && h("li", {}, `${volume.label} `, h("b", {}, count(volume.values[i]))),
    );
    const said = figures.map(([, label, value]) => `${label} ${value}`).join(", ");
    this.#plot.setAttribute("aria-valuenow", i);
    this.#plot.setAttribute(
      "aria-valuetext",
      `${moment(at[i])}: ${said}${volume ? `, ${volume.label} ${count(volume.values[i])}` : ""}`,
    );
  }

  #fillTable() {
    if (!this.#details.open) return;
    const { at, series, volume, format } = this.#data;
    const columns = [...series, ...(volume ? [{ ...volume, format: count }] : [])];
    const head = h(
      "tr",
      {},
      h("th", { scope: "col" }, "Time"),
      ...columns.map(({ label }) => h("th.number", { scope: "col" }, label)),
    );
    const rows = at.map((time, i) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, moment(time)),
        ...columns.map((column) => h("td.number", {}, (column.format ?? format)(column.values[i] ?? NaN))),
      ),
    );
    update(this.#table, h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows.reverse())));
  }
}
