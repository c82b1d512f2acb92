/** The page in Chinese: choices, emotions, notes and settings; what is queued and saved keeps its English values. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openComfyUI, setSetting } from "./comfyui_page.mjs";

const workflow = (name) => new URL(`../../../workflows/${name}.json`, import.meta.url).pathname;
const CHINESE = /[\u4e00-\u9fff]/;
let comfyui, page;

before(async () => {
  await setSetting("Comfy.Locale", "zh");
  comfyui = await openComfyUI();
  ({ page } = comfyui);
});

after(async () => {
  await setSetting("Comfy.Locale", "en");
  await comfyui?.close();
});

test("notes, titles, the pad and the button are Chinese", async () => {
  await comfyui.open(workflow("emotional_talking_head"));
  await page.waitForFunction(() => window.app.graph.nodes.filter((n) => n.type === "MarkdownNote").every((n) => /[\u4e00-\u9fff]/.test(n.title + n.widgets[0].value)));
  await comfyui.show("EADNet_EmotionPrompt", 0.8);
  const spots = page.locator(".eadnet-spot");
  await spots.first().waitFor();
  for (const name of await spots.allInnerTexts()) assert.match(name, CHINESE);
  await comfyui.shot("chinese");
});

test("the labels that a workflow gives to its widgets are Chinese", async () => {
  const labels = await page.evaluate(() =>
    window.app.graph.nodes.flatMap((n) => (n.inputs ?? []).filter((port) => port.label && port.widget).map((port) => n.widgets.find((w) => w.name === port.widget.name).label)),
  );
  assert.ok(["肖像", "语音", "文字"].every((label) => labels.includes(label)), labels.join());
});

test("the entries of a choice are Chinese, and its value is not", async () => {
  const [labels, value] = await page.evaluate(() => {
    const [node] = window.app.graph.findNodesByType("EADNet_EmotionPrompt");
    const preset = node.widgets.find((w) => w.name === "preset");
    return [preset.options.values.map(preset.options.getOptionLabel), preset.value];
  });
  for (const label of labels) assert.match(label, CHINESE);
  assert.equal(value, "from text");
  const { output } = await page.evaluate(() => window.app.graphToPrompt());
  assert.equal(Object.values(output).find((n) => n.class_type === "EADNet_EmotionPrompt").inputs.preset, "from text");
});

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
