// Looks at the dashboard in Chromium, on a phone and on a desktop, and compares what it shows with what the API says.
//
// ANTIPHON_URL is the server's address; without it a server with made-up figures is started, and more is checked: what
// the page shows when nothing was measured, when an alert fires and when a key is needed. With ANTIPHON_SCREENSHOTS, a
// folder, pictures of the page are left there.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { KEY, start } from "./mock.mjs";

const require = createRequire(import.meta.url);
const mock = process.env.ANTIPHON_URL ? null : await start("full");
const base = mock?.url ?? process.env.ANTIPHON_URL.replace(/\/$/, "");
const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: "dark", hasTouch: true, deviceScaleFactor: 2 };
const DESKTOP = { viewport: { width: 1280, height: 800 }, colorScheme: "light" };

function check(what, holds, seen) {
  console.log(holds ? "ok    " : "FAILED", what, holds ? "" : JSON.stringify(seen));
  if (!holds) process.exit(1);
}

const late = setTimeout(() => check("the script ends in time", false), 120_000);
process.on("uncaughtException", (error) => check("the script runs", false, String(error)));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});

async function picture(page, name) {
  const folder = process.env.ANTIPHON_SCREENSHOTS;
  if (folder) await page.screenshot({ path: join(folder, `dashboard-${name}.png`), fullPage: true });
}

async function accessible(page, when) {
  await page.evaluate(readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
  const { violations } = await page.evaluate(() => window.axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
  check(`${when}: axe finds nothing`, found.length === 0, found);
}

const api = async (path) => (await fetch(`${base}${path}`)).json();
const text = (page, selector) => page.locator(selector).innerText();

/** Waits until as many elements are there as `wanted` says: calls come and go, and the page follows a little later. */
async function same(page, what, selector, wanted) {
  let seen;
  for (let tries = 0; tries < 10; tries++) {
    seen = [await page.locator(selector).count(), await wanted()];
    if (seen[0] === seen[1]) break;
    await page.waitForTimeout(1000);
  }
  check(what, seen[0] === seen[1], seen);
}

/** Opens the page, runs `look`, and wants nothing in the console; a request that fails on purpose may be named there. */
async function visit(name, options, look, expected = /^$/) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on(
    "console",
    (message) => message.type() === "error" && !expected.test(message.text()) && errors.push(message.text()),
  );
  page.setDefaultTimeout(15_000);
  await page.goto(`${base}/dashboard`);
  await look(page);
  check(`${name}: no error in the page and nothing against its policy`, errors.length === 0, errors);
  await context.close();
}

const shown = (page) => page.locator("#panels").waitFor();

async function figures(page, name) {
  await shown(page);
  check(`${name}: the page is live`, (await text(page, "#live-text")) === "live");
  const titles = await page.locator("#panels .panel h2").count();
  check(`${name}: every panel has its title`, titles === 12, titles);
  const { components } = await api("/api/performance?minutes=60");
  await same(page, `${name}: every component is there`, "#components tbody", async () => components.length);
  for (const { name: component, stages } of components) {
    const rows = `#components tbody[data-key="${component}"] tr:not(.component)`;
    await same(page, `${name}: the stages of ${component} are there`, rows, async () => stages.length);
  }
  await same(page, `${name}: the calls are there`, "#calls tbody tr", async () =>
    Math.min(50, (await api("/api/calls")).data.length),
  );
  await same(
    page,
    `${name}: the turns are there`,
    "#turn-list li",
    async () => (await api("/api/performance/turns?limit=50")).data.length,
  );
  await same(
    page,
    `${name}: the alerts are there`,
    "#alerts tbody tr",
    async () => (await api("/api/performance/alerts")).data.length,
  );
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check(`${name}: nothing sticks out`, wide <= 0, wide);
  await accessible(page, name);
  await picture(page, name);
}

async function made(page) {
  check("the tile says how fast turns are", /414 ms p50[^]*p95 543 ms/.test(await text(page, '[data-key="turns"]')));
  check(
    "the grade is there with its reasons",
    (await text(page, ".letter")) === "A" &&
      (await text(page, "#advice")).includes("half of the turns answer within 414 ms"),
  );
  check("and what is recommended", (await text(page, "#advice")).includes("Use 2 llama.cpp threads"));
  check("a cache tells its hit rate", /77 % of 800/.test(await text(page, '#guards [data-key="cache replies"]')));
  check(
    "a breaker tells its state",
    (await text(page, '#guards [data-key="breaker breaker stt"]')).includes("half-open"),
  );
  check("a full queue says so", (await text(page, '#limits [data-key="process open_files"]')).includes("filling up"));
  check("the cost is there", (await text(page, "#cost")).includes("812.3K"));
  const spoken = await text(page, '#cost [data-key="Characters spoken"]');
  check("what was spoken is there", spoken.includes("48.2K"), spoken);
  const { data } = await api("/api/calls");
  for (const { id, phase } of data) {
    const row = await text(page, `#calls [data-key="${id}"]`);
    check(`${id} is ${phase}`, row.includes(phase.replace("_", " ")), row);
  }
  const before = await text(page, '#calls [data-key="call_41"] td:nth-of-type(2)');
  await page.waitForFunction(
    (old) => document.querySelector('#calls [data-key="call_41"] td:nth-of-type(2)').innerText !== old,
    before,
  );
  check("the duration of a call grows", true);
}

async function turn(page) {
  const { data } = await api("/api/performance/turns?limit=50");
  if (data.length < 3) return check("only a real server may lack turns", !mock);
  const wanted = data[2];
  const key = `${wanted.call_id}/${wanted.turn}`;
  await page.locator(`[data-turn="${key}"]`).focus();
  await page.keyboard.press("Enter");
  await page.locator("#waterfall h3", { hasText: `${wanted.call_id}, turn ${wanted.turn}` }).waitFor();
  const steps = await page.locator("#waterfall tbody tr").count();
  check("a chosen turn shows its steps", steps === wanted.steps.length, steps);
  const longest = Math.max(...wanted.steps.map((step) => Math.round(step.end_ms - step.start_ms)));
  check("with their times", (await text(page, "#waterfall tbody")).includes(`${longest} ms`), longest);
  // Two rounds later it is still chosen, and the focus has not moved.
  await page.waitForTimeout(2200);
  check(
    "and it stays chosen",
    (await page.locator(`[data-turn="${key}"]:focus`).getAttribute("aria-current")) === "true",
  );
  await page.getByRole("button", { name: "Follow the newest" }).click();
  await page.locator("#waterfall h3", { hasText: `${data[0].call_id}, turn ${data[0].turn}` }).waitFor();
}

async function keyboard(page) {
  const asked = page.waitForRequest((request) => request.url().includes("/history?minutes=360"));
  await page.getByRole("button", { name: "1 h", exact: true }).focus();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await asked;
  check(
    "a time range is chosen by keyboard",
    (await page.getByRole("button", { name: "6 h" }).getAttribute("aria-pressed")) === "true",
  );
  const plot = page.locator("#percentiles [role=slider]");
  if (!(await plot.isVisible())) return check("only a real server may lack a chart", !mock);
  await plot.focus();
  await page.keyboard.press("Home");
  check("the chart is read by keyboard", (await plot.getAttribute("aria-valuenow")) === "0");
  await page.keyboard.press("ArrowRight");
  check("point by point", /p50 .*p95 .*p99 /.test(await plot.getAttribute("aria-valuetext")));
  await page.locator("#percentiles summary").press("Enter");
  await page.locator("#percentiles tbody tr").first().waitFor();
  check("and as a table", true);
  await page.locator("#percentiles summary").press("Enter");
}

async function outage(page) {
  await page.route("**/api/**", (route) => route.abort());
  await page.getByText("The server does not answer").waitFor();
  check("it says when the server does not answer", (await text(page, "#live-text")) === "no answer");
  await accessible(page, "without the server");
  await picture(page, "down");
  await page.unroute("**/api/**");
  await page.locator("#live[data-state=live]").waitFor();
  check("and recovers", await page.locator("#notice").isHidden());
  await page.route("**/turns?*", (route) => route.fulfill({ status: 500 }));
  await page.getByText("/api/performance/turns answered 500").waitFor();
  check("it names what cannot be read", (await text(page, "#live-text")) === "partly");
}

await visit("phone", PHONE, async (page) => {
  await figures(page, "phone");
  await turn(page);
});
await visit("desktop", DESKTOP, async (page) => {
  await figures(page, "desktop");
  await keyboard(page);
  await turn(page);
  if (mock) await made(page);
});
await visit(
  "outage",
  DESKTOP,
  async (page) => {
    await shown(page);
    await outage(page);
  },
  /ERR_FAILED|500/,
);

if (mock) {
  mock.state = "firing";
  await visit("firing", DESKTOP, async (page) => {
    await shown(page);
    check("an alert that fires is at the top", (await text(page, "#firing")).includes("p95 is 912 ms"));
    check(
      "and a breaker that is open",
      (await text(page, '#guards [data-key="breaker breaker tts"]')).includes("open"),
    );
    await accessible(page, "firing");
    await picture(page, "firing");
  });
  mock.state = "empty";
  for (const [name, options] of [
    ["empty-phone", PHONE],
    ["empty-desktop", DESKTOP],
  ]) {
    await visit(name, options, async (page) => {
      await figures(page, name);
      const hints = await page.locator("#panels .empty:visible").count();
      check(`${name}: every panel says what will come`, hints >= 11, hints);
    });
  }
  mock.state = "key";
  await visit(
    "key",
    PHONE,
    async (page) => {
      await page.getByLabel("Key", { exact: true }).fill("wrong");
      await page.keyboard.press("Enter");
      await page.getByText("did not accept this key").waitFor();
      await accessible(page, "key");
      await picture(page, "key");
      await page.getByLabel("Key", { exact: true }).fill(KEY);
      await page.keyboard.press("Enter");
      await shown(page);
      check("with its key the page shows", (await text(page, "#live-text")) === "live");
    },
    /401/,
  );
}

clearTimeout(late);
await browser.close();
mock?.stop();
