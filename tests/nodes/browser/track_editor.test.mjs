/** The emotion track editor, in the workflow that ships with it. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const WORKFLOW = new URL("../../../workflows/step_05_emotions_over_time.json", import.meta.url).pathname;
const NODE = "EADNet_EmotionTrack";
let comfyui, page, lane;

before(async () => {
  comfyui = await openComfyUI();
  ({ page } = comfyui);
  await comfyui.open(WORKFLOW);
  await comfyui.show(NODE, 1.4);
  lane = page.locator(".eadnet-lane");
});

after(() => comfyui?.close());

const track = async () => JSON.parse(await comfyui.value(NODE, "keyframes"));
const handle = (i) => lane.locator(`[data-keyframe="${i}"]`);

test("the voice's waveform and a handle per keyframe are there before any run", async () => {
  await lane.locator(".eadnet-wave").waitFor({ state: "attached" });
  assert.equal(await lane.locator(".eadnet-handle").count(), (await track()).length);
  assert.match(await page.getByRole("timer").innerText(), /^0:00\.00 \/ 0:05\.8/);
  await comfyui.shot("track");
});

test("a dragged handle moves its keyframe in time by as much as the pointer", async () => {
  const before = await track();
  const { width } = await lane.boundingBox();
  await comfyui.drag(handle(1), width / 10, 2);
  const after = await track();
  assert.ok(Math.abs(after[1].time - before[1].time - 0.584) < 0.04, `${before[1].time} -> ${after[1].time}`);
  assert.deepEqual(after.toSpliced(1, 1), before.toSpliced(1, 1));
});

test("one undo takes the drag back", async () => {
  const before = await track();
  await comfyui.drag(handle(3), -40, 0);
  assert.notDeepEqual(await track(), before);
  await page.mouse.move(800, 960);
  await page.keyboard.press("Control+z");
  await page.waitForFunction(
    ([type, json]) => window.app.graph.findNodesByType(type)[0].widgets.find((w) => w.name === "keyframes").value === json,
    [NODE, JSON.stringify(before)],
  );
  await comfyui.show(NODE, 1.4);
  lane = page.locator(".eadnet-lane");
});

test("a drag upwards sets the intensity and leaves the time", async () => {
  const before = await track();
  await comfyui.drag(handle(0), 1, -400);
  const after = await track();
  assert.equal(after[0].intensity, 1);
  assert.equal(after[0].time, before[0].time);
});

test("a double-click adds a keyframe whose words can be typed at once", async () => {
  const { width, height } = await lane.boundingBox();
  const n = (await track()).length;
  await lane.dblclick({ position: { x: width * 0.9, y: height * 0.5 } });
  await page.keyboard.type("relieved");
  const after = await track();
  assert.equal(after.length, n + 1);
  assert.equal(after.at(-1).text, "relieved");
});

test("the keyboard moves, strengthens and deletes a keyframe, and nothing else", async () => {
  const layout = await comfyui.layout();
  const before = await track();
  await handle(1).focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Shift+ArrowRight");
  await page.keyboard.press("ArrowDown");
  const moved = (await track())[1];
  assert.ok(Math.abs(moved.time - before[1].time - 0.11) < 1e-6);
  assert.ok(moved.intensity < 1);
  await page.keyboard.press("Delete");
  assert.deepEqual(await track(), before.toSpliced(1, 1));
  assert.deepEqual(await comfyui.layout(), layout);
});

test("the fields below show the selected keyframe and change it", async () => {
  await handle(1).click();
  const [time, isSet, level] = ["number", "checkbox", "range"].map((kind) => page.locator(`.eadnet input[type="${kind}"]`).first());
  await time.fill("2.25");
  await page.keyboard.press("Enter");
  assert.equal((await track())[1].time, 2.25);
  await isSet.setChecked(false);
  assert.ok(!("intensity" in (await track())[1]));
  await isSet.setChecked(true);
  await level.fill("0.4");
  assert.equal((await track())[1].intensity, 0.4);
  await comfyui.shot("track-edited");
});

test("each keyframe has the colour of what its words ask for, and says it", async () => {
  await page.waitForFunction(() => [...document.querySelectorAll(".eadnet-handle")].every((h) => /--feel-/.test(h.getAttribute("style"))));
  const texts = (await track()).map((k) => k.text);
  const colors = await lane.locator(".eadnet-handle").evaluateAll((all) => all.map((h) => h.style.getPropertyValue("--feel")));
  assert.match(colors[texts.indexOf("calm")], /--feel-neutral/);
  assert.match(colors[texts.indexOf("furious")], /--feel-angry/);
  assert.equal(await lane.locator(".eadnet-ribbon").count(), 1);
  await handle(texts.indexOf("furious")).click();
  await page.getByText(/^angry [01]\.\d\d$/).waitFor();
  assert.match(await handle(texts.indexOf("furious")).getAttribute("aria-label"), /furious, angry$/);
});

test("a fade of a keyframe's own is dragged, typed and eased, and stays when the keyframe moves", async () => {
  await handle(1).focus();
  const grip = lane.locator(".eadnet-fade");
  const { width } = await lane.boundingBox();
  const gap = (await track())[1].time - (await track())[0].time;
  assert.equal(await grip.getAttribute("aria-valuenow"), "0.50");
  await comfyui.drag(grip, -width / 20, 0);
  const dragged = (await track())[1];
  assert.ok(Math.abs(dragged.fade_s - Math.min(gap, 0.5 + 0.292)) < 0.03, `${dragged.fade_s}`);
  await grip.focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("e");
  const keyed = (await track())[1];
  assert.ok(Math.abs(dragged.fade_s - keyed.fade_s - 0.1) < 1e-6);
  assert.equal(keyed.ease, "smooth");
  await comfyui.shot("track-fade");
  await page.getByLabel("how the fade runs").selectOption("out");
  const field = page.getByRole("spinbutton", { name: /^Seconds in which the face changes/ });
  await field.fill("0.3");
  await page.keyboard.press("Enter");
  assert.deepEqual([(await track())[1].fade_s, (await track())[1].ease], [0.3, "out"]);
  await handle(1).focus();
  await page.keyboard.press("ArrowRight");
  assert.deepEqual([(await track())[1].fade_s, (await track())[1].ease], [0.3, "out"]);
  await grip.focus();
  await page.keyboard.press("Delete");
  assert.ok(!("fade_s" in (await track())[1]));
  assert.equal(await field.inputValue(), "");
});

test("the voice plays and the playhead follows", async () => {
  await lane.focus();
  await page.keyboard.press("Home");
  assert.match(await page.getByRole("timer").innerText(), /^0:00\.00/);
  await page.getByTitle(/^Play/).click();
  await page.waitForFunction(() => document.querySelector('[role="timer"]').textContent > "0:01");
  await page.getByTitle(/^Play/).waitFor(); // the sound has come to its end
});

test("zoom widens the lane, and the JSON can be seen and edited", async () => {
  const before = await lane.evaluate((e) => e.offsetWidth);
  await page.getByTitle(/^Zoom in/).click();
  assert.equal(await lane.evaluate((e) => e.offsetWidth), before * 2);
  await page.getByTitle("Show the keyframes as JSON").click();
  const text = page.locator(".eadnet textarea");
  await text.fill('[{"time": 1, "text": "calm"}, oops');
  await page.getByText(/^The keyframes are not JSON/).waitFor();
  await comfyui.shot("track-json");
  await text.fill('[{"time": 1, "text": "calm"}]');
  await page.getByTitle("Show the keyframes as JSON").click();
  await handle(0).waitFor();
  assert.equal(await lane.locator(".eadnet-handle").count(), 1);
});

test("a track that another node gives is shown after a run, with its fades, and can be taken over", async () => {
  const directed = [{ time_s: 0, text: "calm", fade_s: 0.4, ease: "smooth" }, { time_s: 2, text: "sad", intensity: 0.5, fade_s: 0.4, ease: "smooth" }];
  await page.evaluate(
    ([type, json]) => {
      const { graph } = window.app;
      const [node] = graph.findNodesByType(type);
      const source = window.LiteGraph.createNode("PrimitiveStringMultiline");
      graph.add(source);
      source.connect(0, node, node.inputs.findIndex((i) => i.name === "keyframes"));
      node.onExecuted({ eadnet_keyframes: [json] });
    },
    [NODE, JSON.stringify(directed)],
  );
  await page.getByText("The keyframes come from another node.").waitFor();
  assert.equal(await lane.locator(".eadnet-handle").count(), 2);
  await handle(1).focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await handle(1).getAttribute("aria-valuenow"), "2");
  assert.equal(await page.getByLabel("how the fade runs").inputValue(), "smooth");
  await comfyui.shot("track-linked");
  await page.getByRole("button", { name: "Edit here" }).click();
  await handle(1).focus();
  await page.keyboard.press("ArrowRight");
  const [first, second] = await track();
  assert.deepEqual([first.fade_s, first.ease, second.fade_s, second.ease, second.time], [0.4, "smooth", 0.4, "smooth", 2.1]);
});

test("nothing that the pack uses is deprecated", () => assert.deepEqual(comfyui.deprecated, []));
test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
