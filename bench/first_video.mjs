/**
 * Prints what a newcomer's first video takes in a ComfyUI that was just started and never opened: clicks, seconds, and
 * seconds of the server's processor.
 *
 *   COMFYUI_URL=http://127.0.0.1:8188 CHROMIUM=/usr/bin/chromium node bench/first_video.mjs [PID]
 *
 * PID  the server's process (Linux)
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { chromium } = createRequire(new URL("../tests/nodes/browser/", import.meta.url))("playwright-core");
const { COMFYUI_URL, CHROMIUM } = process.env;
const [pid] = process.argv.slice(2);
const TICKS = 100;
const LIMIT_MS = 1_800_000;

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--headless", "--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage({ viewport: { width: 1600, height: 1000 } });
page.setDefaultTimeout(LIMIT_MS);
let clicks = 0;
const click = async (target) => {
  await target.click();
  clicks += 1;
};

await page.goto(COMFYUI_URL);
const templates = page.getByTestId("template-workflows-content").or(page.getByRole("dialog")).first();
await templates.waitFor({ timeout: 60_000 }).catch(() => click(page.getByRole("button", { name: "Templates" }).first()));
await click(page.getByText("eadnet", { exact: true }).first());
const card = page.getByTestId("template-workflow-first_run");
await card.waitFor();
const [began, processor] = [performance.now(), processor_s()];
await click(card);
await page.waitForFunction(() => window.app?.graph?.findNodesByType("EADNet_Speak").length === 1);
const opened = performance.now();
await click(page.getByTestId("queue-button").or(page.getByRole("button", { name: "Run", exact: true })).filter({ visible: true }).first());
await page.waitForFunction(() => [...document.querySelectorAll("video")].some((v) => v.videoWidth > 0 && v.src.includes("/view")));
const seconds = (ms) => (ms / 1000).toFixed(1);
console.log(`${clicks} clicks; ${seconds(performance.now() - began)} s from the template to a video in its node, ${seconds(opened - began)} of them to the open graph`);
if (pid) console.log(`${(processor_s() - processor).toFixed(1)} s of the server's processor`);
await browser.close();

/** Seconds of the processor that the server has taken. */
function processor_s() {
  if (!pid) return 0;
  const [, , , , , , , , , , , user, system] = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/\(.*\)/, "()").split(" ").slice(2);
  return (Number(user) + Number(system)) / TICKS;
}
