// Charts over time: the percentiles of a stage, and what the process uses.
import { LineChart } from "/dashboard/chart.js";
import { levelHistory } from "/dashboard/data.js";
import { h } from "/dashboard/dom.js";
import { measure, ms, span, words } from "/dashboard/format.js";

const PERCENTILES = ["p50", "p95", "p99"];

/** The stages that can be selected for the chart of percentiles. */
export function stages({ stages: all }) {
  const groups = Map.groupBy(all, ({ component }) => component);
  return [...groups].map(([component, members]) =>
    h(
      "optgroup",
      { label: words(component) },
      ...members.map(({ stage }) =>
        h("option", { value: `${component}/${stage}` }, `${words(component)}: ${words(stage)}`),
      ),
    ),
  );
}

/** The charts over time within the page. */
export class Charts {
  #percentiles = new LineChart(document.getElementById("percentiles"), { name: "Response time", height: 264 });
  #process = ["cpu", "memory", "network"].map((id) => {
    const box = document.getElementById(id);
    return [id, new LineChart(box, { name: words(id), height: 140 })];
  });

  /** Shows `history`; `chosen` is the selected `component/stage`. */
  show(history, chosen) {
    const { at, step_s: step } = history;
    const one = history.stages.find(({ component, stage }) => `${component}/${stage}` === chosen);
    this.#percentiles.show({
      at,
      name: `Percentiles of ${words(chosen.replace("/", " "))}`,
      series: PERCENTILES.map((key) => ({ key, label: key, values: one?.[`${key}_ms`] ?? [] })),
      volume: { label: "count", values: one?.count ?? [] },
      format: ms,
      unit: "ms",
      empty:
        "Nothing was measured in this time. Hold a call, or choose a longer time: a line for half, 95 % and 99 % of the turns appears here.",
    });
    for (const [id, chart] of this.#process)
      chart.show({
        at,
        ...this.#usage(id, history),
        empty: `Nothing is known of this time yet. A point is added every ${span(step)}.`,
      });
  }

  #usage(id, history) {
    const series = (name, label = words(name)) => ({
      key: name,
      label,
      values: levelHistory(history, "process", name),
    });
    const format = (unit) => (value) => measure(value, unit);
    if (id === "network")
      return {
        series: [series("network_in", "in"), series("network_out", "out")],
        unit: "bytes/s",
        format: format("bytes/s"),
      };
    if (id === "memory") return { series: [series("memory")], unit: "bytes", format: format("bytes") };
    return { series: [series("cpu", "used")], unit: "cores", format: format("cores") };
  }
}
