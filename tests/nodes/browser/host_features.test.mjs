/** What a newer ComfyUI can do with the nodes: the page shows it there, and an older page shows the nodes without it. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const TALKING = new URL("../../../workflows/emotional_talking_head.json", import.meta.url).pathname;
const { RENDERER } = process.env;
let comfyui, page, info;

before(async () => {
  comfyui = await openComfyUI();
  ({ page } = comfyui);
  info = await (await fetch(`${process.env.COMFYUI_URL}/object_info/EADNet_Loader`)).json();
  await comfyui.open(TALKING);
});

after(() => comfyui?.close());

test("advanced widgets are folded away in Nodes 2.0, keep their values, and come back when asked for", async () => {
  // The classic renderer draws every widget.
  const hasAdvanced = RENDERER === "nodes2" && info.EADNet_Loader.input.required.precision[1].advanced === true;
  await comfyui.show("EADNet_Loader", 1);
  assert.deepEqual(await comfyui.fields("EADNet_Loader"), hasAdvanced ? ["model"] : ["model", "precision", "attention"]);
  await comfyui.fit();
  await comfyui.shot("folded");
  const { output } = await page.evaluate(() => window.app.graphToPrompt());
  const loader = Object.values(output).find((node) => node.class_type === "EADNet_Loader");
  assert.deepEqual(loader.inputs, { model: "mini", precision: "auto", attention: "auto" });
  if (!hasAdvanced) return;
  await page.evaluate(() => {
    const [node] = window.app.canvas.graph.findNodesByType("EADNet_Loader");
    node.showAdvanced = true;
    node.setSize([node.size[0], node.computeSize()[1]]);
  });
  await comfyui.show("EADNet_Loader", 1);
  assert.deepEqual(await comfyui.fields("EADNet_Loader"), ["model", "precision", "attention"]);
  await comfyui.shot("unfolded");
});

test("the search finds Speak by what it does", async () => {
  if (info.EADNet_Loader.search_aliases === undefined) return;
  await page.evaluate(() => window.app.extensionManager.command.execute("Workspace.SearchBox.Toggle"));
  await page.waitForTimeout(1000);
  await page.keyboard.type("talking photo");
  await page.getByText("EAD-Net Speak").filter({ visible: true }).first().waitFor({ timeout: 20_000 });
  await comfyui.shot("search");
  await page.keyboard.press("Escape");
});

test("a shortcut turns the preview off and on, and another draws a new take and runs it", async () => {
  const isOn = () => page.evaluate(() => window.app.extensionManager.setting.get("EADNet.InstantPreview"));
  await page.locator("canvas#graph-canvas").focus().catch(() => {});
  for (const expected of [false, true]) {
    await page.keyboard.press("Alt+Shift+P");
    await page.waitForFunction((v) => window.app.extensionManager.setting.get("EADNet.InstantPreview") === v, expected);
  }
  assert.equal(await isOn(), true);
  const seed = () => comfyui.value("EADNet_Sampler", "seed");
  const before = await seed();
  const ended = page.evaluate(
    () => new Promise((done) => window.app.api.addEventListener("promptQueued", () => done(true), { once: true })),
  );
  await page.keyboard.press("Alt+Shift+T");
  assert.equal(await ended, true);
  assert.notEqual(await seed(), before);
  await page.evaluate(() => window.app.api.interrupt());
});

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
