/**
 * Draws the stills beside the workflows: opens each in a running ComfyUI, runs it, and takes a picture of the graph.
 *
 *   COMFYUI_URL=http://127.0.0.1:8188 RENDERER=classic CHROMIUM=/usr/bin/chromium node stills.mjs [--empty] [NAME ..]
 *
 * --empty  does not run them, and leaves the instant preview off: the graph alone
 */

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openComfyUI, setSetting } from "./comfyui_page.mjs";

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "workflows");
const SIZE = { width: 2000, height: 1200 };
const SIDEBAR = 64;
const TOP = 90;

const given = process.argv.slice(2);
const isEmpty = given.includes("--empty");
const named = given.filter((name) => !name.startsWith("--"));
const files = (await readdir(FOLDER)).filter((name) => name.endsWith(".json")).map((name) => basename(name, ".json"));

await setSetting("EADNet.InstantPreview", !isEmpty);
await setSetting("LiteGraph.Canvas.MinFontSizeForLOD", 0); // texts stay readable when a large graph is shown small
const comfyui = await openComfyUI();
const { page } = comfyui;
await page.setViewportSize(SIZE);
for (const name of named.length ? named : files) {
  await comfyui.open(join(FOLDER, `${name}.json`));
  await page.waitForTimeout(4000);
  if (!isEmpty) {
    await comfyui.forget();
    const { event, seconds, detail } = await comfyui.run();
    assert.equal(event, "execution_success", `${name}: ${JSON.stringify(detail)}`);
    console.log(name, `${seconds.toFixed(1)} s`);
    await page.waitForTimeout(4000);
    await page.getByText(/jobs? completed/).first().waitFor({ state: "hidden" }); // it lies over the graph for a while
  }
  await page.evaluate(() => window.app.extensionManager.command.execute("Comfy.Canvas.FitView"));
  await page.waitForTimeout(2500);
  const clip = { x: SIDEBAR, y: TOP, width: SIZE.width - SIDEBAR, height: SIZE.height - TOP };
  await page.screenshot({ path: join(FOLDER, `${name}.jpg`), type: "jpeg", quality: 78, clip });
}
await setSetting("EADNet.InstantPreview", true);
await comfyui.close();
