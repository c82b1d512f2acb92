/** Every shipped workflow, opened and run as a user would: nothing lies over anything else, and videos are seen. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const FOLDER = new URL("../../../workflows/", import.meta.url);
const NAMES = readdirSync(FOLDER).filter((name) => name.endsWith(".json")).map((name) => name.slice(0, -5));
/** Nodes of the pack that show a video of their own. */
const VIDEO = ["EADNet_Speak", "EADNet_RenderVideo", "EADNet_Conversation"];
let comfyui, page;

before(async () => {
  comfyui = await openComfyUI();
  ({ page } = comfyui);
});

afterEach(() => page.keyboard.press("Escape")); // the dialog of a failure must not fail what follows
after(() => comfyui?.close());

for (const name of NAMES) {
  test(`${name}: all links, no node over another, before and after a run`, async (t) => {
    const path = new URL(`${name}.json`, FOLDER).pathname;
    const { nodes, links } = JSON.parse(readFileSync(path, "utf8"));
    await comfyui.open(path);
    const input = (id, slot) => `${id} ${nodes.find((n) => n.id === id).inputs[slot].name}`;
    const wanted = links.map(([, from, output, to, slot]) => `${from} ${output} > ${input(to, slot)}`);
    assert.deepEqual(await comfyui.links(), wanted.sort());
    await comfyui.fit();
    assert.deepEqual(await comfyui.overlaps(), [], "as opened");
    await comfyui.forget();
    const { event, seconds, detail } = await comfyui.run();
    assert.equal(event, "execution_success", JSON.stringify(detail));
    t.diagnostic(`from Run to the end: ${seconds.toFixed(1)} s`);
    for (const { id } of nodes.filter((n) => VIDEO.includes(n.type))) {
      const [width, height] = await comfyui.videoIn(id);
      assert.ok(width > 0 && height > 0, `node ${id} shows no video`);
    }
    await page.waitForTimeout(1500);
    await comfyui.fit();
    await comfyui.shot(name);
    for (const { id } of nodes.filter((n) => VIDEO.includes(n.type))) assert.ok((await comfyui.spill(id)) < 2, `the video of node ${id} sticks out`);
    assert.deepEqual(await comfyui.overlaps(), [], "after the run");
  });
}

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
