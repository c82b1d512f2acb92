/** The lanes of a motion in the track editor: points drawn and dragged, blinks added and taken out, by keys too. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const WORKFLOW = new URL("../../../workflows/step_05_emotions_over_time.json", import.meta.url).pathname;
const NODE = "EADNet_EmotionTrack";
let comfyui, page, layout;
const asked = [];

before(async () => {
  comfyui = await openComfyUI();
  ({ page } = comfyui);
  page.on("request", (r) => r.url().endsWith("/eadnet/track_face") && asked.push(r.postDataJSON()));
  await comfyui.open(WORKFLOW);
  await comfyui.show(NODE, 1);
});

after(() => comfyui?.close());

const edits = async () => JSON.parse((await comfyui.value(NODE, "motion_edits")) || "{}");
const lane = (name) => page.locator(`.eadnet-motion-lane[data-lane="${name}"]`);
const dots = (name) => lane(name).locator(".eadnet-dot");
const row = (label) => page.locator(".eadnet").getByLabel(label, { exact: true });

test("the lanes come and go by their button, and nothing is changed by that", async () => {
  assert.equal(await lane("yaw").isVisible(), false);
  await page.getByRole("button", { name: "∿" }).click();
  await lane("yaw").waitFor();
  assert.deepEqual(await edits(), {});
  await comfyui.fit();
  assert.deepEqual(await comfyui.overlaps(), [], "the node has grown over another");
  await comfyui.show(NODE, 1);
  layout = await comfyui.layout();
});

test("a double-click draws a point, which is dragged, and the face turns with it", async () => {
  await lane("yaw").dblclick({ position: { x: 120, y: 8 } });
  assert.equal(await dots("yaw").count(), 1);
  const [[time, change]] = (await edits()).yaw.points;
  assert.ok(time > 0 && change > 5, `${time} ${change}`);
  await comfyui.drag(dots("yaw"), 24, 16);
  const [[later, lower]] = (await edits()).yaw.points;
  assert.ok(later > time && lower < change, `${later} ${lower}`);
  await row("seconds of the point or blink").fill("1.5");
  await page.keyboard.press("Enter");
  await row("degrees, or share of a gaze").fill("9");
  await page.keyboard.press("Enter");
  assert.deepEqual((await edits()).yaw.points, [[1.5, 9]]);
  await page.waitForTimeout(1500);
  assert.ok(asked.some(({ turned }) => turned?.yaw !== undefined), "no face was asked for with its head turned");
  await comfyui.shot("motion");
});

test("keys move a point and take it away, in sight, and the node stays", async () => {
  await dots("yaw").focus();
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("ArrowRight");
  const [[time, change]] = (await edits()).yaw.points;
  assert.ok(Math.abs(time - 1.6) < 1e-6 && Math.abs(change - 10) < 1e-3, `${time} ${change}`);
  await page.keyboard.press("Shift+ArrowLeft");
  assert.ok(Math.abs((await edits()).yaw.points[0][0] - 1.59) < 1e-6);
  assert.notEqual(await dots("yaw").evaluate((e) => getComputedStyle(e).outlineStyle), "none");
  await page.keyboard.press("Delete");
  assert.deepEqual(await edits(), {});
  await lane("pitch").focus();
  await page.keyboard.press("n");
  assert.equal((await edits()).pitch.points.length, 1);
  await page.keyboard.press("ArrowDown");
  assert.ok((await edits()).pitch.points[0][1] !== 0);
  assert.deepEqual(await comfyui.layout(), layout);
});

test("a step is undone by the page", async () => {
  const before = await edits();
  await page.evaluate(() => window.app.extensionManager.command.execute("Comfy.Undo"));
  await page.waitForTimeout(1200);
  assert.notDeepEqual(await edits(), before);
  await page.evaluate(() => window.app.extensionManager.command.execute("Comfy.Redo"));
  await page.waitForTimeout(1200);
  assert.deepEqual(await edits(), before);
  await comfyui.show(NODE, 1);
  await lane("blinks").waitFor();
});

test("a blink is added, moved and taken out", async () => {
  await lane("blinks").dblclick({ position: { x: 150, y: 17 } });
  const [time] = (await edits()).blinks.add;
  await dots("blinks").focus();
  await page.keyboard.press("ArrowRight");
  assert.ok(Math.abs((await edits()).blinks.add[0] - time - 0.1) < 0.011);
  await page.keyboard.press("Delete");
  assert.equal((await edits()).blinks, undefined);
});

test("a motion of another node is seen after a run, its blinks are taken out, and a lane is made smooth", async () => {
  await page.evaluate((type) => {
    const { LiteGraph, app } = window;
    const { graph } = app;
    const [track] = graph.findNodesByType(type);
    const [portrait] = graph.findNodesByType("LoadImage");
    const reader = LiteGraph.createNode("EADNet_MotionFromVideo");
    const saver = LiteGraph.createNode("EADNet_SaveMotion");
    for (const [i, node] of [reader, saver].entries()) (node.pos = [700, 1000 + 500 * i]), graph.add(node);
    portrait.connect(0, reader, reader.inputs.findIndex((s) => s.name === "images"));
    reader.connect(0, track, track.inputs.findIndex((s) => s.name === "motion"));
    track.connect(1, saver, 0);
    for (const node of graph.nodes) if (/RenderVideo|Sampler|SaveVideo/.test(node.type)) node.mode = 2;
  }, NODE);
  await page.getByText("Run the graph once to see the motion").waitFor();
  const { event, detail } = await comfyui.run();
  assert.equal(event, "execution_success", JSON.stringify(detail));
  await page.waitForFunction(() => document.querySelector('[data-lane="yaw"] .eadnet-made').dataset.set === "true");
  await lane("yaw").focus();
  const smooth = page.locator(".eadnet label", { hasText: "smooth" }).locator("input");
  await smooth.fill("0.3");
  await page.keyboard.press("Enter");
  assert.equal((await edits()).yaw.smooth_s, 0.3);
  await comfyui.shot("motion-read");
});

test("a file keeps the edits and shows the lanes again", async () => {
  const before = await edits();
  await comfyui.saveAndOpen("motion_saved");
  assert.deepEqual(await edits(), before);
  await comfyui.show(NODE, 1);
  await lane("yaw").waitFor();
});

test("edits that are none are said, and change nothing", async () => {
  await page.evaluate((type) => {
    const [node] = window.app.graph.findNodesByType(type);
    const widget = node.widgets.find((w) => w.name === "motion_edits");
    widget.value = '{"ears": 1}';
    widget.callback(widget.value);
  }, NODE);
  await page.getByText("Edits of a motion are").waitFor();
  assert.equal(await comfyui.value(NODE, "motion_edits"), '{"ears": 1}');
});

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
