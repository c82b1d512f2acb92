/** The blueprints: each is found by its name, put into the graph as one node, wired as an artist would, and run. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const FOLDER = new URL("../../../subgraphs/", import.meta.url);
const NAMES = readdirSync(FOLDER).map((name) => name.replace(/\.json$/, ""));
/** What is wired to a socket of a type: a node, and the file that it loads. */
const LOADERS = { IMAGE: ["LoadImage", "eadnet_portrait.png"], AUDIO: ["LoadAudio", "eadnet_speech.wav"], VIDEO: ["LoadVideo", "eadnet_clip.mp4"] };
/** Whose picture shows somebody else. */
const PICTURES = { "Two speakers": "eadnet_couple.jpg" };
let comfyui, page;

before(async () => {
  const headers = { "Content-Type": "application/json" };
  await fetch(`${process.env.COMFYUI_URL}/eadnet/samples`, { method: "POST", headers, body: "{}" }); // a loader shows its first file
  comfyui = await openComfyUI();
  ({ page } = comfyui);
});

after(() => comfyui?.close());

/** Opens the search for nodes by a double click on the canvas; a page that is still busy does not hear the first. */
async function insert(name) {
  const { x, y, width, height } = await page.locator("#graph-canvas").boundingBox();
  const isOpen = () => page.waitForFunction(() => document.activeElement?.matches("input"), null, { timeout: 3000 }).then(() => true, () => false);
  do await page.mouse.dblclick(x + width / 2, y + height * 0.7);
  while (!(await isOpen()));
  await page.keyboard.type(name);
  await page.getByText(name).filter({ visible: true }).first().waitFor();
  await page.waitForTimeout(1000); // what was found for the first letters gives way to what was found for all
  await page.keyboard.press("Enter");
  await page.waitForTimeout(500);
  await page.mouse.click(x + width * 0.4, y + height * 0.4); // a newer page lets one choose the place
  await page.waitForFunction((name) => window.app.graph.nodes.some((n) => n.subgraph?.name === name), name);
}

/** Loaders to its sockets, and Save Video behind it; the id of the latter. */
function wire(loaders) {
  return page.evaluate((loaders) => {
    const { graph } = window.app;
    const add = (type, x, y) => {
      const node = window.LiteGraph.createNode(type);
      node.pos = [x, y];
      graph.add(node);
      return node;
    };
    const [made] = graph.nodes;
    made.pos = [500, 100];
    for (const [slot, input] of made.inputs.entries()) {
      if (input.widget) continue;
      const [type, file] = loaders[input.type];
      const loader = add(type, 0, 450 * slot);
      loader.widgets[0].value = file;
      loader.connect(0, made, slot);
    }
    const save = add("SaveVideo", 1000, 100);
    made.connect(0, save, 0);
    return save.id;
  }, loaders);
}

for (const name of NAMES) {
  test(`${name}: found, inserted and run`, async (t) => {
    const [node] = JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), "utf8")).nodes;
    await page.evaluate(() => window.app.extensionManager.command.execute("Comfy.NewBlankWorkflow"));
    await page.waitForFunction(() => window.app.graph.nodes.length === 0);
    await insert(name);
    const [inputs, widgets] = await page.evaluate(() => {
      const [made] = window.app.graph.nodes;
      return [made.inputs.map((port) => port.name), made.widgets.map((w) => w.name)];
    });
    assert.deepEqual(inputs, node.inputs.map((port) => port.name));
    assert.deepEqual(widgets, node.inputs.filter((port) => port.widget).map((port) => port.name));
    const save = await wire({ ...LOADERS, IMAGE: ["LoadImage", PICTURES[name] ?? LOADERS.IMAGE[1]] });
    const { event, seconds, detail } = await comfyui.run();
    assert.equal(event, "execution_success", JSON.stringify(detail));
    t.diagnostic(`from Run to the end: ${seconds.toFixed(1)} s`);
    const [width, height] = await comfyui.videoIn(save);
    assert.ok(width > 0 && height > 0);
    await comfyui.fit();
    await comfyui.shot(name.replaceAll(" ", "_"));
  });
}

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
