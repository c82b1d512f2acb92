/** The box of a face, on its picture: found faces that are clicked, boxes drawn, moved and resized, by keys too. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const TALKING = new URL("../../../workflows/emotional_talking_head.json", import.meta.url).pathname;
const NODE = "EADNet_Face";
let comfyui, page, panel, layout;

before(async () => {
  comfyui = await openComfyUI();
  ({ page } = comfyui);
  await comfyui.open(TALKING);
  await comfyui.show(NODE, 1);
  panel = page.getByRole("group", { name: "faces of the picture" });
  layout = await comfyui.layout();
});

after(() => comfyui?.close());

const box = () => comfyui.value(NODE, "box");
const numbers = async () => (await box()).split(",").map(Number);
const found = () => panel.locator(".eadnet-found");
const drawn = () => panel.locator(".eadnet-box");
const said = () => panel.getByRole("status").innerText();

/** Two portraits side by side as the picture of the graph. */
async function twoFaces() {
  const name = await page.evaluate(async () => {
    const { app } = window;
    const picture = await createImageBitmap(await (await fetch(app.api.apiURL("/view?filename=eadnet_portrait.png&type=input"))).blob());
    const canvas = new OffscreenCanvas(2 * picture.width, picture.height);
    for (const x of [0, picture.width]) canvas.getContext("2d").drawImage(picture, x, 0);
    const form = new FormData();
    form.append("image", await canvas.convertToBlob(), "two_faces.png");
    form.append("overwrite", "true");
    const stored = await (await app.api.fetchApi("/upload/image", { method: "POST", body: form })).json();
    const [loader] = app.graph.findNodesByType("LoadImage");
    const widget = loader.widgets.find((w) => w.name === "image");
    widget.value = stored.name;
    widget.callback?.(stored.name);
    app.api.dispatchCustomEvent("graphChanged", {});
    return stored.name;
  });
  await page.waitForFunction(() => document.querySelectorAll('[data-panel="face_box"] .eadnet-found').length === 2);
  return name;
}

test("the face of the picture is found and said without a run", async () => {
  await found().first().waitFor();
  assert.equal(await found().count(), 1);
  assert.equal(await found().first().getAttribute("aria-pressed"), "true");
  assert.match(await said(), /^One face/);
  assert.equal(await box(), "");
  await comfyui.shot("face");
});

test("of two faces the one that is clicked is taken", async () => {
  await twoFaces();
  assert.match(await said(), /^2 faces/);
  const places = await found().evaluateAll((all) => all.map((e) => e.getBoundingClientRect().left));
  const right = places.indexOf(Math.max(...places));
  await found().nth(right).click();
  const [x0, , x1] = await numbers();
  const middle = await panel.locator(".eadnet-sheet").evaluate((e) => e.getBoundingClientRect());
  const mark = await found().nth(right).evaluate((e) => e.getBoundingClientRect());
  const share = (mark.left + mark.width / 2 - middle.left) / middle.width;
  assert.ok(share > 0.5);
  assert.ok(Math.abs((x0 + x1) / 2 / share - (x0 + x1) / 2 / 0.75) < 200, `${x0} ${x1} ${share}`);
  assert.equal(await found().nth(right).getAttribute("aria-pressed"), "true");
  assert.equal(await found().nth(1 - right).getAttribute("aria-pressed"), "false");
  await comfyui.shot("face-two");
});

test("a box is drawn, moved and resized by the pointer, a drag being one step for undo", async () => {
  const sheet = await panel.locator(".eadnet-sheet").boundingBox();
  await page.mouse.move(sheet.x + 4, sheet.y + 6);
  await page.mouse.down();
  await page.mouse.move(sheet.x + 20, sheet.y + 20, { steps: 3 });
  await page.mouse.move(sheet.x + 44, sheet.y + 56, { steps: 3 });
  await page.mouse.up();
  const first = await numbers();
  assert.ok(first[2] > first[0] && first[3] > first[1], first.join());
  assert.equal(await drawn().isVisible(), true);
  await comfyui.drag(drawn(), 20, 10);
  const second = await numbers();
  assert.ok(second[0] > first[0] && Math.abs(second[2] - second[0] - (first[2] - first[0])) <= 1, second.join());
  await comfyui.drag(panel.locator('[data-corner="se"]'), 12, 16);
  const third = await numbers();
  assert.deepEqual(third.slice(0, 2), second.slice(0, 2));
  assert.ok(third[2] > second[2] && third[3] > second[3], third.join());
  await comfyui.shot("face-drawn");
  await page.evaluate(() => window.app.extensionManager.command.execute("Comfy.Undo"));
  await page.waitForTimeout(1200);
  assert.deepEqual(await numbers(), second);
  await comfyui.show(NODE, 1);
  await drawn().waitFor();
});

test("keys move the box and its corners, in sight, and the node stays where it is", async () => {
  await drawn().focus();
  assert.notEqual(await drawn().evaluate((e) => getComputedStyle(e).outlineStyle), "none");
  const [x0, y0, x1, y1] = await numbers();
  await page.keyboard.press("Shift+ArrowRight");
  await page.keyboard.press("Shift+ArrowDown");
  assert.deepEqual(await numbers(), [x0 + 1, y0 + 1, x1 + 1, y1 + 1]);
  await panel.locator('[data-corner="nw"]').focus();
  await page.keyboard.press("Shift+ArrowRight");
  assert.deepEqual(await numbers(), [x0 + 2, y0 + 1, x1 + 1, y1 + 1]);
  await page.keyboard.press("Delete");
  assert.equal(await box(), "");
  await panel.getByRole("button", { name: "+▢" }).focus();
  await page.keyboard.press("Enter");
  assert.notEqual(await box(), "");
  await page.keyboard.press("Delete");
  assert.equal(await box(), "");
  assert.deepEqual(await comfyui.layout(), layout);
});

test("a box that is typed is seen, and words that are none are said", async () => {
  const type = (value) =>
    page.evaluate(
      ([type, value]) => {
        const [node] = window.app.graph.findNodesByType(type);
        const widget = node.widgets.find((w) => w.name === "box");
        widget.value = value;
        widget.callback(value);
      },
      [NODE, value],
    );
  await type("100, 120, 300, 360");
  await page.waitForFunction(() => document.querySelector('[data-panel="face_box"] .eadnet-box').dataset.box === "100,120,300,360");
  await type("here");
  await panel.getByText("holds no box").waitFor();
  await type("-50,0,120,200"); // beyond the edge, as the core allows
  await page.waitForFunction(() => document.querySelector('[data-panel="face_box"] .eadnet-box').dataset.box === "-50,0,120,200");
  await type("");
});

test("a picture of another node is shown after a run, and words say so before", async () => {
  await page.evaluate((type) => {
    const { LiteGraph, app } = window;
    const { graph } = app;
    const [node] = graph.findNodesByType(type);
    const [loader] = graph.findNodesByType("LoadImage");
    const turned = LiteGraph.createNode("ImageInvert");
    const again = LiteGraph.createNode("ImageInvert");
    for (const [i, added] of [turned, again].entries()) (added.pos = [-400, 100 * i]), graph.add(added);
    loader.connect(0, turned, 0);
    turned.connect(0, again, 0);
    again.connect(0, node, 0);
    for (const n of graph.nodes) if (/RenderVideo|Sampler|SaveVideo/.test(n.type)) n.mode = 2;
  }, NODE);
  await panel.getByText("run the graph once").waitFor();
  await comfyui.forget(); // 0.8 says nothing of a cached node that is no output
  assert.equal((await comfyui.run()).event, "execution_success");
  await page.waitForFunction(() => document.querySelectorAll('[data-panel="face_box"] .eadnet-found').length === 2);
});

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
