// Holds a conversation on the talk page in Chromium: speech comes from a fake microphone, which plays a recording of
// a person who asks, waits, and then interrupts.
//
// ANTIPHON_URL is the server's address, ANTIPHON_SPEECH a 16 kHz WAV file of one sentence. With
// ANTIPHON_SCREENSHOTS, a folder, pictures of the page are left there.

import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const RATE = 16_000;
const require = createRequire(import.meta.url);

function check(what, holds, seen) {
  console.log(holds ? "ok    " : "FAILED", what, holds ? "" : JSON.stringify(seen));
  if (!holds) process.exit(1);
}

/** The samples of a WAV file, as bytes. */
function samples(path) {
  const file = readFileSync(path);
  const data = file.indexOf("data") + 8;
  return file.subarray(data, data + file.readUInt32LE(data - 4));
}

function recording(speech) {
  const silence = (seconds) => Buffer.alloc(2 * RATE * seconds);
  const parts = [silence(2), speech, silence(5), speech, silence(120)];
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + body.length, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(RATE, 24);
  head.writeUInt32LE(2 * RATE, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(body.length, 40);
  const path = join(mkdtempSync(join(tmpdir(), "antiphon-")), "microphone.wav");
  writeFileSync(path, Buffer.concat([head, body]));
  return path;
}

const microphone = recording(samples(process.env.ANTIPHON_SPEECH));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    `--use-file-for-fake-audio-capture=${microphone}%noloop`,
    "--autoplay-policy=user-gesture-required",
  ],
});
const late = setTimeout(() => check("the script ends in time", false), 100_000);

async function picture(page, name) {
  const folder = process.env.ANTIPHON_SCREENSHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`) });
}

async function accessible(page, when) {
  await page.evaluate(readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
  const { violations } = await page.evaluate(() => window.axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
  check(`${when}, axe finds nothing`, found.length === 0, found);
}

for (const [name, options] of [
  ["phone", { viewport: { width: 390, height: 844 }, colorScheme: "dark", bypassCSP: true }],
  ["desktop", { viewport: { width: 1280, height: 800 }, colorScheme: "light", bypassCSP: true }],
]) {
  const context = await browser.newContext({ permissions: ["microphone"], ...options });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.setDefaultTimeout(30_000);
  await page.goto(process.env.ANTIPHON_URL);
  await accessible(page, `${name}: at first`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check(`${name}: nothing sticks out`, wide <= 0, wide);

  if (name === "phone") {
    // With the keyboard alone.
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.locator(".you:not(.partial)").first().waitFor();
    check("what was said is shown", (await page.locator(".you").first().innerText()).length > 10);
    await page.locator(".agent .latency").first().waitFor();
    check("and how long the answer took", /first sound after \d+ ms/.test(await page.locator(".latency").first().innerText()));
    await page.waitForFunction(() => window.antiphonPlayed > 24_000);
    await picture(page, "phone-speaking");
    await page.locator(".agent .cut").first().waitFor();
    check("an interruption is shown", (await page.locator(".cut").first().innerText()) === "interrupted");
    await accessible(page, "phone: in a conversation");
    await picture(page, "phone-interrupted");
    await page.keyboard.press("Space");
    await page.getByRole("button", { name: "End" }).click();
    await page.getByText("not connected").waitFor();
  } else {
    await page.getByLabel("Write instead of speaking").fill("What is the time?");
    await page.keyboard.press("Enter");
    await page.locator(".you").first().waitFor();
    await page.locator(".agent").first().waitFor();
    await page.waitForFunction(() => window.antiphonPlayed > 24_000);
    check("what is written is answered in speech", true);
    await picture(page, "desktop-written");
  }
  check(`${name}: no error in the page`, errors.length === 0, errors);
  await context.close();
}

clearTimeout(late);
await browser.close();
