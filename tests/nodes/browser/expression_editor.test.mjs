/** The expression editor's panel: sliders, the picture that follows them, undo, keys, presets, links. */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const WORKFLOW = new URL("../../../workflows/step_09_pose_a_still.json", import.meta.url).pathname;
const NODE = "EADNet_ExpressionEditor";
const N_MOVES = 25;
let comfyui, page, panel;
const requests = [];

before(async () => {
  comfyui = await openComfyUI();
  ({ page } = comfyui);
  page.on("request", (r) => r.url().endsWith("/eadnet/expression") && requests.push(r.postDataJSON()));
  await comfyui.open(WORKFLOW);
  await comfyui.show(NODE, 0.8);
  panel = page.getByRole("group", { name: "expression of the face" });
});

after(() => comfyui?.close());

const slider = (name) => panel.locator(`[data-slider="${name}"]`);
const value = (name) => comfyui.value(NODE, name);
const shown = () => panel.locator("canvas").evaluate((c) => JSON.parse(c.dataset.values));
const picture = () => panel.locator("canvas").evaluate((c) => c.toDataURL());

/** Waits until the picture is of these values, and at rest. */
async function follows(name, given) {
  await page.waitForFunction(
    ([name, given]) => (JSON.parse(document.querySelector('[data-panel="expression"] canvas').dataset.values ?? "{}")[name] ?? 0) === given,
    [name, given],
  );
}

test("the face of the graph's portrait appears by itself, as the widgets have it", async () => {
  await panel.locator("canvas").waitFor();
  assert.equal(requests[0].image, "eadnet_portrait.png");
  await follows("happy", 0.7);
  assert.equal(await slider("happy").inputValue(), "0.7");
  await comfyui.shot("expression");
});

test("sliders stand in the panel alone, box and accept_any_face in the node", async () => {
  const fields = await comfyui.fields(NODE);
  assert.ok(fields.includes("box") && !fields.includes("corners"), fields.join());
});

test("a slider that is dragged sets the widget, and the picture follows it", async () => {
  const before = await picture();
  await slider("jaw").scrollIntoViewIfNeeded();
  const { width } = await slider("jaw").boundingBox();
  await comfyui.drag(slider("jaw"), width / 4, 0);
  const given = await value("jaw");
  assert.ok(Math.abs(given - 0.5) < 0.12, given);
  await follows("jaw", given);
  assert.notEqual(await picture(), before);
});

test("undo and redo go by keys and by buttons, a drag being one step", async () => {
  const given = await value("jaw");
  await page.keyboard.press("Control+z");
  assert.equal(await value("jaw"), 0);
  await follows("jaw", 0);
  await page.keyboard.press("Control+Shift+Z");
  assert.equal(await value("jaw"), given);
  await panel.getByRole("button", { name: "↶" }).click();
  assert.equal(await value("jaw"), 0);
  await page.keyboard.press("Control+y");
  assert.equal(await value("jaw"), given);
  await page.waitForTimeout(600);
  assert.equal(await value("jaw"), given); // the page has undone nothing of its own
  assert.equal(await page.evaluate((t) => window.app.canvas.graph.findNodesByType(t).length, NODE), 1);
});

test("keys move a slider and reset it, with the focus in sight, and the node stays", async () => {
  const layout = await comfyui.layout();
  await slider("corners").focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  assert.equal(await value("corners"), 0.02);
  assert.notEqual(await slider("corners").evaluate((e) => getComputedStyle(e).outlineStyle), "none");
  await page.keyboard.press("End");
  assert.equal(await value("corners"), 1);
  await page.keyboard.press("Delete");
  assert.equal(await value("corners"), 0);
  await page.keyboard.press("Tab");
  assert.notEqual(await page.evaluate(() => document.activeElement.tagName), "BODY");
  assert.deepEqual(await comfyui.layout(), layout);
});

test("each slider resets by its button and by a double-click, all by one", async () => {
  await slider("dimple").dblclick({ position: { x: 3, y: 8 } });
  assert.equal(await value("dimple"), 0);
  await panel.getByRole("button", { name: "×" }).and(panel.locator('[title="Reset: happy"]')).click();
  assert.equal(await value("happy"), 0);
  await panel.getByRole("button", { name: "⟲" }).click();
  await page.waitForFunction(() => document.querySelector('[data-panel="expression"] canvas').dataset.values === "{}");
  await page.keyboard.press("Control+z");
  assert.equal(await value("roll"), 4);
});

test("the picture as it was is one press away", async () => {
  await follows("roll", await value("roll"));
  const before = requests.length;
  await panel.getByRole("button", { name: "◐" }).click();
  await page.waitForFunction(() => document.querySelector('[data-panel="expression"] canvas').dataset.values === "{}");
  assert.deepEqual(requests.slice(before).at(-1).values, {});
  await panel.getByRole("button", { name: "◐" }).click();
  await follows("roll", await value("roll"));
});

test("a preset is saved, and loaded again", async () => {
  await slider("surprised").focus();
  await page.keyboard.press("End");
  const download = page.waitForEvent("download");
  await panel.getByRole("button", { name: "↓" }).click();
  const path = await (await download).path();
  const saved = JSON.parse(await readFile(path, "utf8"));
  assert.equal(saved.eadnet_expression, 1);
  assert.equal(saved.values.surprised, 1.5);
  await panel.getByRole("button", { name: "⟲" }).click();
  assert.equal(await value("surprised"), 0);
  await load(path);
  await page.waitForFunction((t) => window.app.canvas.graph.findNodesByType(t)[0].widgets.find((w) => w.name === "surprised").value === 1.5, NODE);
});

async function load(path) {
  const chosen = page.waitForEvent("filechooser");
  await panel.getByRole("button", { name: "↑" }).click();
  await (await chosen).setFiles(path);
}

for (const [text, said] of [
  ["no JSON at all", "no JSON"],
  ['{"nodes": []}', "holds no expression"],
  ['{"eadnet_expression": 1, "values": {"ears": 1}}', "no such slider: ears"],
  ['{"eadnet_expression": 1, "values": {"corners": 7}}', "outside its range: corners: 7 (-1 .. 1)"],
]) {
  test(`a bad preset says "${said}" and changes nothing`, async () => {
    const before = await value("surprised");
    const path = join(process.env.SHOTS, "bad.json");
    await writeFile(path, text);
    await load(path);
    await panel.getByRole("status").filter({ hasText: said }).waitFor();
    assert.equal(await value("surprised"), before);
  });
}

test("many moves are drawn all the way, and soon", async (t) => {
  await panel.getByRole("button", { name: "⟲" }).click();
  const ms = [];
  for (let i = 0; i < N_MOVES; i++) {
    ms.push(
      await slider("corners").evaluate(
        (range, v) =>
          new Promise((done, fail) => {
            setTimeout(() => fail(new Error(`no picture of ${v}`)), 60_000);
            const began = performance.now();
            const canvas = document.querySelector('[data-panel="expression"] canvas');
            const seen = new MutationObserver(() => {
              if (JSON.parse(canvas.dataset.values).corners !== v) return;
              seen.disconnect();
              requestAnimationFrame(() => done(performance.now() - began));
            });
            seen.observe(canvas, { attributes: true, attributeFilter: ["data-values"] });
            range.value = v;
            range.dispatchEvent(new Event("input", { bubbles: true }));
          }),
        (i + 1) / 50,
      ),
    );
    await page.waitForTimeout(30);
  }
  ms.sort((a, b) => a - b);
  const side = await panel.locator("canvas").evaluate((c) => c.width);
  t.diagnostic(`${side} px: median ${ms[Math.floor(N_MOVES / 2)].toFixed(0)} ms, 95 % ${ms[Math.floor(N_MOVES * 0.95)].toFixed(0)} ms`);
  assert.ok(ms[Math.floor(N_MOVES / 2)] < 1500);
});

test("the sliders are the node's own widgets where one wants them", async () => {
  await panel.getByRole("button", { name: "≡" }).click();
  assert.ok((await comfyui.fields(NODE)).includes("corners"));
  await page.evaluate((type) => {
    const [node] = window.app.canvas.graph.findNodesByType(type);
    const widget = node.widgets.find((w) => w.name === "corners");
    widget.value = 0.25;
    widget.callback(0.25);
  }, NODE);
  assert.equal(await value("corners"), 0.25);
  await follows("corners", 0.25);
  await comfyui.shot("expression-plain");
  await comfyui.show(NODE, 0.5);
  await panel.getByRole("button", { name: "≡" }).click();
  assert.ok(!(await comfyui.fields(NODE)).includes("corners"));
});

test("a run takes the values, and the file keeps them", async () => {
  const { output } = await page.evaluate(() => window.app.graphToPrompt());
  const { inputs } = Object.values(output).find((n) => n.class_type === NODE);
  assert.equal(inputs.corners, 0.25);
  await comfyui.saveAndOpen("expression_saved");
  assert.equal(await value("corners"), 0.25);
  await comfyui.show(NODE, 0.8);
  await follows("corners", 0.25);
});

test("a picture of other nodes is seen after a run, and words say so before", async () => {
  await page.evaluate((type) => {
    const { LiteGraph, app } = window;
    const { graph } = app.canvas;
    const [node] = graph.findNodesByType(type);
    const turned = LiteGraph.createNode("ImageInvert");
    turned.pos = [-300, 800];
    graph.add(turned);
    const [loader] = graph.findNodesByType("LoadImage");
    const again = LiteGraph.createNode("ImageInvert");
    again.pos = [-300, 900];
    graph.add(again);
    loader.connect(0, turned, 0);
    turned.connect(0, again, 0);
    again.connect(0, node, 0);
    for (const n of graph.findNodesByType("EADNet_Speak")) n.mode = 2;
    for (const n of graph.findNodesByType("SaveVideo")) n.mode = 2;
  }, NODE);
  await panel.getByText("run the graph once").waitFor();
  await comfyui.forget(); // 0.8 says nothing of a cached node that is no output
  assert.equal((await comfyui.run()).event, "execution_success");
  await page.waitForFunction(() => !document.querySelector('[data-panel="expression"] canvas').hidden);
  assert.match(requests.at(-1).image, /^eadnet_still_[0-9a-f]{16}\.png$/);
  assert.equal(requests.at(-1).type, "temp");
});

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
