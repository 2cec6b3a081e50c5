// Finds figures in the server's answers. What the server was built without is missing there.

/** The component of that name. */
export const component = (performance, name) => performance.components.find((one) => one.name === name);

/** A stage of a component. */
export const stage = (performance, of, name) => component(performance, of)?.stages.find((one) => one.name === name);

/** A level of a component. */
export const level = (performance, of, name) => component(performance, of)?.levels.find((one) => one.name === name);

/** The value of a counter of a component. */
export const counter = (one, name) => one?.counters.find((counted) => counted.name === name)?.value;

/** The values of a level over time. */
export const levelHistory = (history, of, name) =>
  history.levels.find((one) => one.component === of && one.name === name)?.values ?? [];

/** All levels, each with its component's name. */
export const levels = (performance) =>
  performance.components.flatMap(({ name, levels: those }) => those.map((one) => ({ ...one, component: name })));

/** Whether a level is the state of a breaker. */
export const isBreaker = ({ unit }) => unit === "state";
