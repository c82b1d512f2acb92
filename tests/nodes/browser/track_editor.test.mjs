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
  await page.getByTitle(/^Snap to words/).click(); // off
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

test("an undo by key leaves the focus at its keyframe, where it is seen", async () => {
  const before = await track();
  await handle(1).focus();
  await page.keyboard.press("ArrowRight");
  assert.notDeepEqual(await track(), before);
  await page.keyboard.press("Control+z");
  await page.waitForFunction(() => document.activeElement?.dataset.keyframe === "1" && document.activeElement.getAttribute("aria-valuenow") === "3");
  assert.deepEqual(await track(), before);
  assert.equal(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), "solid");
  await page.keyboard.press("ArrowRight");
  assert.ok((await track())[1].time > before[1].time);
  await page.keyboard.press("ArrowLeft");
});

test("the fields below show the selected keyframe and change it", async () => {
  await handle(1).click();
  const [isSet, level] = ["checkbox", "range"].map((kind) => page.locator(`.eadnet input[type="${kind}"]`).first());
  const time = page.getByLabel("seconds from the start");
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
  assert.match(await page.locator(".eadnet-chip + span").innerText(), /^angry [01]\.\d\d$/);
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

test("a label takes its keyframe along in time, and opens its words", async () => {
  const before = await track();
  const { width } = await lane.boundingBox();
  const label = lane.locator('[data-label="1"]');
  await comfyui.drag(label, width / 10, -60);
  const after = await track();
  assert.ok(Math.abs(after[1].time - before[1].time - 0.584) < 0.04, `${before[1].time} -> ${after[1].time}`);
  assert.deepEqual({ ...after[1], time: 0 }, { ...before[1], time: 0 });
  await label.dblclick();
  assert.equal(await page.evaluate(() => document.activeElement.value), after[1].text);
  assert.equal((await track()).length, after.length);
});

test("the face at the playhead follows it, playing or not, and can be put away", async () => {
  const canvas = page.locator(".eadnet-face canvas");
  await lane.focus();
  await page.keyboard.press("Home");
  await page.waitForFunction(() => document.querySelector(".eadnet-face canvas").dataset.time === "0");
  const picture = () => canvas.evaluate((e) => e.toDataURL());
  const first = await picture();
  await page.keyboard.press("End");
  await page.waitForFunction(() => Number(document.querySelector(".eadnet-face canvas").dataset.time) > 5);
  assert.notEqual(await picture(), first);
  assert.match(await canvas.getAttribute("aria-label"), /^The face at the playhead .*: \w+/);
  await page.keyboard.press("Home");
  await page.keyboard.press(" ");
  const times = await page.evaluate(async () => {
    const seen = new Set();
    const canvas = document.querySelector(".eadnet-face canvas");
    for (const until = performance.now() + 2500; performance.now() < until; await new Promise(requestAnimationFrame)) seen.add(canvas.dataset.time);
    return seen.size;
  });
  await page.keyboard.press(" ");
  assert.ok(times >= 4, `${times} faces in 2.5 s`);
  const { width } = await lane.boundingBox();
  await page.keyboard.press("f");
  assert.equal(await canvas.isVisible(), false);
  assert.ok((await lane.boundingBox()).width > width + 100);
  await page.keyboard.press("f");
  await canvas.waitFor();
});

test("a face that cannot be shown says why, and is asked for once", async () => {
  let n = 0;
  const count = (request) => request.url().endsWith("/eadnet/track_face") && n++;
  const set = (box) =>
    page.evaluate((box) => {
      const [face] = window.app.graph.findNodesByType("EADNet_Face");
      face.widgets.find((w) => w.name === "box").value = box;
      window.app.api.dispatchCustomEvent("graphChanged");
    }, box);
  await set("1,2,3");
  await page.locator(".eadnet-face .eadnet-note", { hasText: "box" }).waitFor();
  page.on("request", count);
  await lane.focus();
  for (let i = 0; i < 5; i++) await page.keyboard.press("ArrowRight");
  await page.waitForTimeout(300);
  page.off("request", count);
  assert.equal(n, 0);
  await set("");
  await page.locator(".eadnet-face canvas").waitFor();
  // What the browser says of a refused request is no complaint of the page.
  comfyui.complaints = comfyui.complaints.filter((text) => !/400 \(Bad Request\)/.test(text));
});

test("a region is drawn on the ruler, repeats while it plays, and is moved by keys", async () => {
  const { x, y, width } = await lane.boundingBox();
  await page.mouse.move(x + width * 0.2, y + 6);
  await page.mouse.down();
  await page.mouse.move(x + width * 0.3, y + 6, { steps: 4 });
  await page.mouse.up();
  const grips = lane.locator(".eadnet-loop-grip");
  const ends = () => grips.evaluateAll((all) => all.map((g) => Number(g.getAttribute("aria-valuenow"))));
  const [start, end] = await ends();
  assert.ok(Math.abs(start - 1.168) < 0.03 && Math.abs(end - 1.752) < 0.03, `${start} ${end}`);
  await comfyui.shot("track-loop");
  await page.getByTitle(/^Play/).click();
  const heard = await page.evaluate(async () => {
    const clock = document.querySelector('[role="timer"]');
    const times = [];
    for (const until = performance.now() + 2500; performance.now() < until; await new Promise(requestAnimationFrame)) {
      times.push(Number(clock.textContent.slice(2, 7)));
    }
    return times;
  });
  await page.getByTitle(/^Pause/).click();
  const returns = heard.filter((t, i) => i && t < heard[i - 1] - 0.2).length;
  assert.ok(returns >= 2, `${returns} returns in 2.5 s`);
  assert.ok(Math.min(...heard) >= start - 0.02 && Math.max(...heard) < end + 0.2, `${Math.min(...heard)} .. ${Math.max(...heard)}`);
  await grips.nth(1).focus();
  await page.keyboard.press("ArrowLeft");
  assert.ok(Math.abs((await ends())[1] - end + 0.1) < 0.011);
  await page.keyboard.press("l");
  assert.equal(await grips.count(), 0);
});

test("keyframes snap to where the voice sets in, step to it by key, and are free with Alt", async () => {
  await lane.focus();
  await page.keyboard.press("s");
  const marks = lane.locator(".eadnet-mark");
  assert.ok((await marks.count()) >= 5);
  await lane.focus();
  await page.keyboard.press("Home");
  await page.keyboard.press(".");
  await page.keyboard.press(".");
  const at = async () => Number((await page.getByRole("timer").innerText()).slice(2, 7));
  const onset = await at();
  assert.ok(onset > 0);
  const { width } = await lane.boundingBox();
  const px = (s) => (s / 5.84) * width;
  await handle(1).focus();
  const from = (await track())[1].time;
  await comfyui.drag(handle(1), px(onset - from) + 4, 1);
  assert.equal((await track())[1].time, onset);
  for (let i = 0; i < 4; i++) await page.keyboard.press(".");
  const next = (await track())[1].time;
  assert.ok(next > onset + 0.5);
  await page.keyboard.down("Alt");
  await comfyui.drag(handle(1), px(onset - next) + 4, 1);
  await page.keyboard.up("Alt");
  const free = (await track())[1].time;
  assert.ok(free !== onset && Math.abs(free - onset) < 0.12, `${free}`);
});

test("the words of a transcript are shown and snapped to", async () => {
  const srt = "1\n00:00:00,500 --> 00:00:01,000\nHello\n\n2\n00:00:02,130 --> 00:00:03,000\nthere now\n";
  await page.evaluate(
    ([type, srt]) => {
      const { graph } = window.app;
      const [node] = graph.findNodesByType(type);
      const source = window.LiteGraph.createNode("PrimitiveStringMultiline");
      graph.add(source);
      source.widgets[0].value = srt;
      source.connect(0, node, node.inputs.findIndex((i) => i.name === "transcript"));
    },
    [NODE, srt],
  );
  await lane.locator("svg text", { hasText: "Hello" }).waitFor({ state: "attached" });
  assert.equal(await lane.locator(".eadnet-mark").count(), 3);
  await handle(1).focus();
  await page.getByLabel("seconds from the start").fill("0.3");
  await page.keyboard.press("Enter");
  await handle(1).focus();
  const steps = [];
  for (const key of [".", ".", ","]) await page.keyboard.press(key), steps.push((await track())[1].time);
  assert.deepEqual(steps, [0.5, 2.13, 0.5]);
  await comfyui.shot("track-words");
});

test("zoom widens the lane with the waveform as fine as the screen, and the JSON can be seen and edited", async () => {
  const before = await lane.evaluate((e) => e.offsetWidth);
  await page.getByTitle(/^Zoom in/).click();
  assert.equal(await lane.evaluate((e) => e.offsetWidth), before * 2);
  while (await page.getByTitle(/^Zoom in/).isEnabled()) await page.getByTitle(/^Zoom in/).click();
  const drawn = await lane.evaluate((e) => {
    const places = e.querySelector(".eadnet-wave").getAttribute("d").split("L").map((place) => place.replace("M", "").split(",").map(Number));
    return { width: e.offsetWidth, svg: e.querySelector("svg").clientWidth, places: places.slice(0, places.length / 2) };
  });
  assert.ok(drawn.width / 5.84 >= 1000, `${drawn.width}`);
  assert.ok(drawn.svg < 1000, `${drawn.svg}`); // what is seen is drawn, not all of the lane
  const steps = drawn.places.slice(1).map(([x], i) => x - drawn.places[i][0]);
  assert.ok(Math.max(...steps) <= 0.51, `${Math.max(...steps)}`);
  assert.ok(new Set(drawn.places.map(([, y]) => y)).size > 20);
  await comfyui.shot("track-zoomed");
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
