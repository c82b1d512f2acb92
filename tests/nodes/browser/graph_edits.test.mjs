/** What artists do to a graph: subgraphs, groups, copies, bypass and mute, links into widgets. Nothing breaks, nothing is lost. */

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const workflow = (name) => new URL(`../../../workflows/${name}.json`, import.meta.url).pathname;
const CONVERT = "Comfy.Graph.ConvertToSubgraph";
const UNPACK = "Comfy.Graph.UnpackSubgraph";
const PROMPT = "EADNet_EmotionPrompt";
let comfyui, page;

before(async () => {
  comfyui = await openComfyUI();
  ({ page } = comfyui);
});

afterEach(() => page.keyboard.press("Escape"));
after(() => comfyui?.close());

/** [id, type] of the nodes of the graph that is open, those of a subgraph's inside in brackets behind it. */
const nodes = () =>
  page.evaluate(() => {
    const list = (graph) => graph.nodes.map((n) => (n.subgraph ? list(n.subgraph) : n.type));
    return list(window.app.canvas.graph);
  });

const idOf = (type) => page.evaluate((type) => window.app.canvas.graph.nodes.find((n) => (type ? n.type === type : n.subgraph))?.id, type);
const values = (type) => page.evaluate((type) => window.app.canvas.graph.nodes.find((n) => n.type === type).widgets?.filter((w) => w.serialize !== false).map((w) => w.value) ?? [], type);
const set = (type, name, value) =>
  page.evaluate(
    ([type, name, value]) => {
      window.app.canvas.graph.nodes.find((n) => n.type === type).widgets.find((w) => w.name === name).value = value;
    },
    [type, name, value],
  );
/** Prompts as they would be queued, without what the page names by itself. */
const inputs = async (type) => Object.values((await page.evaluate(() => window.app.graphToPrompt())).output).filter((n) => n.class_type === type).map((n) => n.inputs);

async function enter() {
  await page.evaluate(() => {
    const { canvas } = window.app;
    const host = canvas.graph.nodes.find((n) => n.subgraph);
    canvas.openSubgraph(host.subgraph, host);
  });
  await page.waitForTimeout(1000);
}

async function leave() {
  await page.evaluate(() => window.app.canvas.setGraph(window.app.rootGraph ?? window.app.graph));
  await page.waitForTimeout(500);
}

async function runs() {
  const { event, detail } = await comfyui.run();
  assert.equal(event, "execution_success", JSON.stringify(detail));
}

test("every node goes into a subgraph, comes out again and keeps its values", async () => {
  const types = await page.evaluate(() => Object.keys(window.LiteGraph.registered_node_types).filter((t) => t.startsWith("EADNet_")));
  assert.ok(types.length >= 15);
  for (const type of types) {
    await page.evaluate((type) => {
      const { app, LiteGraph } = window;
      app.graph.clear();
      app.graph.add(LiteGraph.createNode(type));
    }, type);
    await page.waitForTimeout(100);
    const before = await values(type);
    await comfyui.command(CONVERT, [await idOf(type)]);
    assert.deepEqual(await nodes(), [[type]], `${type} in a subgraph`);
    await comfyui.command(UNPACK, [await idOf()]);
    assert.deepEqual(await nodes(), [type], `${type} out of it`);
    assert.deepEqual(await values(type), before, type);
  }
});

test("in a subgraph the preview sees the portrait outside, and the graph runs", async () => {
  await comfyui.open(workflow("emotional_talking_head"));
  await set(PROMPT, "text", "proud");
  await comfyui.command(CONVERT, [await idOf(PROMPT), await idOf("EADNet_Sampler"), await idOf("EADNet_Denoiser")]);
  const asked = page.waitForRequest((r) => r.url().endsWith("/eadnet/preview") && r.postDataJSON().text === "so proud");
  await enter();
  await comfyui.show(PROMPT, 0.8);
  await page.getByRole("group", { name: "instant preview" }).locator("canvas").waitFor();
  await page.locator("textarea").filter({ visible: true }).first().fill("so proud");
  assert.equal((await asked).postDataJSON().image, "eadnet_portrait.png");
  await comfyui.shot("subgraph");
  await runs();
  await leave();
  assert.equal((await inputs(PROMPT))[0].text, "so proud");
});

test("a subgraph is saved and opened again, unpacked, and undone", async () => {
  const before = (await nodes()).length;
  await comfyui.saveAndOpen("subgraph");
  assert.equal((await inputs(PROMPT))[0].text, "so proud");
  await comfyui.command(UNPACK, [await idOf()]);
  assert.equal((await nodes()).length, before + 2);
  assert.equal((await inputs(PROMPT))[0].text, "so proud");
  await page.evaluate(() => window.app.extensionManager.command.execute("Comfy.Undo"));
  await page.waitForFunction((n) => window.app.graph.nodes.length === n, before, { timeout: 20_000 });
  assert.equal((await inputs(PROMPT))[0].text, "so proud");
});

test("a subgraph of Speak shows its video", async () => {
  await comfyui.open(workflow("first_run"));
  await comfyui.command(CONVERT, [await idOf("EADNet_Speak")]);
  assert.ok((await nodes()).some((n) => n[0] === "EADNet_Speak"));
  await enter();
  await comfyui.forget();
  await runs();
  const [width] = await comfyui.videoIn(await idOf("EADNet_Speak"));
  assert.equal(width, 512);
  await leave();
});

test("a copy has the values of its original, and its own", async () => {
  await comfyui.open(workflow("emotional_talking_head"));
  await set(PROMPT, "text", "shy");
  await comfyui.command("Comfy.Canvas.FitView", [await idOf(PROMPT)]);
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("Control+c");
  await page.waitForTimeout(300);
  await page.keyboard.press("Control+v");
  await page.waitForTimeout(1000);
  const copies = await page.evaluate((type) => window.app.graph.findNodesByType(type).map((n) => n.id), PROMPT);
  assert.equal(copies.length, 2);
  await page.evaluate((id) => (window.app.graph.getNodeById(id).widgets.find((w) => w.name === "text").value = "bold"), copies[1]);
  assert.deepEqual((await inputs(PROMPT)).map(({ text }) => text).sort(), ["bold", "shy"]);
});

test("a group around nodes is saved with them", async () => {
  await comfyui.command("Comfy.Graph.GroupSelectedNodes", [await idOf(PROMPT), await idOf("EADNet_Sampler")]);
  await comfyui.saveAndOpen("group");
  assert.equal(await page.evaluate(() => window.app.graph.groups.length), 1);
  assert.equal((await inputs("EADNet_Sampler")).length, 1);
});

test("a bypassed track hands its emotion on; a muted score is left out", async () => {
  await comfyui.open(workflow("emotional_talking_head"));
  await comfyui.command("Comfy.Canvas.ToggleSelectedNodes.Bypass", [await idOf("EADNet_Denoiser")]);
  const prompt = Object.entries((await page.evaluate(() => window.app.graphToPrompt())).output);
  const loader = prompt.find(([, n]) => n.class_type === "EADNet_Loader")[0];
  assert.deepEqual((await inputs("EADNet_Sampler"))[0].model, [loader, 0]);
  await runs();
  await comfyui.command("Comfy.Canvas.ToggleSelectedNodes.Mute", [await idOf("SaveVideo")]);
  assert.equal((await inputs("SaveVideo")).length, 0);
});

test("words come from a node through a link, and from the widget again", async () => {
  await comfyui.open(workflow("emotional_talking_head"));
  const asked = page.waitForRequest((r) => r.url().endsWith("/eadnet/preview") && r.postDataJSON().text === "linked words");
  await page.evaluate((type) => {
    const { app, LiteGraph } = window;
    const words = LiteGraph.createNode("PrimitiveStringMultiline");
    app.graph.add(words);
    words.widgets[0].value = "linked words";
    const [node] = app.graph.findNodesByType(type);
    words.connect(0, node, node.inputs.findIndex((i) => i.name === "text"));
    app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState?.();
  }, PROMPT);
  await asked;
  const [{ text }] = await inputs(PROMPT);
  assert.ok(Array.isArray(text));
  await page.evaluate((type) => {
    const [node] = window.app.graph.findNodesByType(type);
    node.disconnectInput(node.inputs.findIndex((i) => i.name === "text"));
  }, PROMPT);
  await set(PROMPT, "text", "my own");
  assert.equal((await inputs(PROMPT))[0].text, "my own");
});

test("two runs queued at once both end well", async () => {
  const ended = page.evaluate(
    () =>
      new Promise((done) => {
        const events = [];
        for (const name of ["execution_success", "execution_error"]) {
          window.app.api.addEventListener(name, () => events.push(name) === 2 && done(events));
        }
      }),
  );
  await set(PROMPT, "text", "first words");
  await page.evaluate(() => window.app.queuePrompt(0));
  await set(PROMPT, "text", "second words");
  await page.evaluate(() => window.app.queuePrompt(0));
  assert.deepEqual(await ended, ["execution_success", "execution_success"]);
});

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
