/** The pad and the instant preview of the Emotion Prompt node, in the full workflow. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const WORKFLOW = new URL("../../../workflows/emotional_talking_head.json", import.meta.url).pathname;
const NODE = "EADNet_EmotionPrompt";
const N_CHANGES = 12;
/** Longer than the page waits after a change before it asks. */
const QUIET_MS = 400;
let comfyui, page, pad, preview;
const requests = [];

before(async () => {
  comfyui = await openComfyUI();
  ({ page } = comfyui);
  page.on("request", (r) => r.url().endsWith("/eadnet/preview") && requests.push(r.postDataJSON()));
  await comfyui.open(WORKFLOW);
  await comfyui.show(NODE, 0.8);
  pad = page.locator(".eadnet-pad");
  preview = page.getByRole("group", { name: "instant preview" });
});

after(() => comfyui?.close());

const point = async () => [await comfyui.value(NODE, "valence"), await comfyui.value(NODE, "arousal")];
const text = () => page.locator("textarea").filter({ visible: true }).first();

/** Of the preview: the box on the picture has a stage as well. */
const isIdle = () => document.querySelector(".eadnet-stage[data-busy]").dataset.busy === "false";

/** Does something, and waits for the preview that it leads to. Returns its line, and seconds from the last input on. */
async function previewAfter(change) {
  await page.waitForTimeout(QUIET_MS);
  await page.waitForFunction(isIdle);
  const answered = page.waitForResponse((r) => r.url().endsWith("/eadnet/preview") && r.status() === 200);
  await change();
  const began = performance.now();
  await answered;
  await page.waitForFunction(isIdle);
  return { line: await preview.getByRole("status").innerText(), seconds: (performance.now() - began) / 1000 };
}

test("a face appears by itself, of the portrait that the graph loads", async () => {
  await preview.locator("canvas").waitFor();
  assert.equal(requests[0].image, "eadnet_portrait.png");
  assert.equal(requests[0].frames, 1);
  await comfyui.shot("prompt");
});

test("other words make another face, and only the last of what was typed is asked for", async () => {
  const picture = () => preview.locator("canvas").evaluate((c) => c.toDataURL());
  const before = await picture();
  const n = requests.length;
  const { line } = await previewAfter(async () => {
    await text().click();
    await page.keyboard.press("Control+a");
    await page.keyboard.type("sad", { delay: 20 });
  });
  assert.deepEqual(requests.slice(n).map((r) => r.text), ["sad"]);
  assert.match(line, /^\w+ \d\.\d\d .* s$/);
  assert.notEqual(await picture(), before);
});

test("an emotion's point sets valence and arousal and turns the pad on", async () => {
  await previewAfter(() => pad.locator('[data-emotion="happy"]').click());
  assert.deepEqual(await point(), [0.85, 0.5]);
  assert.equal(await comfyui.value(NODE, "use_pad"), true);
  const { valence, arousal } = requests.at(-1);
  assert.deepEqual([valence, arousal], [0.85, 0.5]);
});

test("the point is dragged, and moved by keys in small steps", async () => {
  const { width, height } = await pad.boundingBox();
  await comfyui.drag(pad.locator(".eadnet-point"), -width / 4, height / 4);
  const [valence, arousal] = await point();
  assert.ok(Math.abs(valence - 0.35) < 0.03 && Math.abs(arousal) < 0.04, `${valence}, ${arousal}`);
  const layout = await comfyui.layout();
  await pad.locator(".eadnet-point").focus();
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Shift+ArrowUp");
  const [v, a] = await point();
  assert.ok(Math.abs(v - (valence - 0.05)) < 1e-6 && Math.abs(a - (arousal + 0.01)) < 1e-6);
  assert.deepEqual(await comfyui.layout(), layout);
});

test("the nearest emotion's word is offered and written into the prompt", async () => {
  await pad.locator('[data-emotion="surprised"]').click();
  await page.getByRole("button", { name: "surprised" }).last().click();
  assert.equal(await comfyui.value(NODE, "text"), "surprised");
  await page.getByRole("button", { name: "pad", exact: true }).click();
  assert.equal(await comfyui.value(NODE, "use_pad"), false);
  await comfyui.shot("prompt-pad");
});

test("a second in motion is one request of 25 frames", async () => {
  await previewAfter(() => preview.getByRole("button", { name: "still" }).click());
  assert.equal(requests.at(-1).frames, 25);
  assert.equal(await preview.locator("canvas").getAttribute("data-frames"), "25");
  await previewAfter(() => preview.getByRole("button", { name: "1 s" }).click());
});

test("the preview answers each of many changes", async (t) => {
  const seconds = [];
  for (let i = 0; i < N_CHANGES; i++) seconds.push((await previewAfter(() => text().fill(`happy ${i}`))).seconds);
  seconds.sort((a, b) => a - b);
  t.diagnostic(`preview: median ${seconds[N_CHANGES / 2].toFixed(2)} s, slowest ${seconds.at(-1).toFixed(2)} s`);
});

test("the setting puts the preview to sleep and wakes it", async () => {
  const set = (value) => page.evaluate((v) => window.app.extensionManager.setting.set("EADNet.InstantPreview", v), value);
  await set(false);
  const n = requests.length;
  await text().fill("furious");
  await preview.getByText(/Instant preview is off/).waitFor();
  assert.equal(requests.length, n);
  await set(true);
  await previewAfter(() => text().fill("quietly furious"));
});

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
