import { chromium } from "playwright-core";
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
for (const [name, options] of [["desktop", { viewport: { width: 1280, height: 900 }, colorScheme: "light" }], ["phone", { viewport: { width: 390, height: 844 }, colorScheme: "dark", deviceScaleFactor: 2 }]]) {
  const page = await (await browser.newContext(options)).newPage();
  await page.goto(process.argv[2] + "/dashboard");
  await page.waitForTimeout(3000);
  await page.screenshot({ path: `/tmp/perf/${name}.png` });
  await page.screenshot({ path: `/tmp/perf/${name}-full.png`, fullPage: true });
}
await browser.close();
