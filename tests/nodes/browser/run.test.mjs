/** From opening the first workflow to a video; and what a run says, shown in its node. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const FIRST_RUN = new URL("../../../workflows/first_run.json", import.meta.url).pathname;
const { RENDERER } = process.env;
let comfyui, page;

before(async () => {
  comfyui = await openComfyUI();
  ({ page } = comfyui);
  await comfyui.forget();
});

after(() => comfyui?.close());

test("in a ComfyUI without the samples the first workflow opens as if they were there, and nothing is marked as missing", async () => {
  const fresh = await openComfyUI();
  try {
    const withoutSamples = async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: (await answer.text()).replace(/"eadnet_\w+\.\w+", |, "eadnet_\w+\.\w+"|"eadnet_\w+\.\w+"/g, "") });
    };
    await fresh.page.route("**/object_info", withoutSamples);
    await fresh.page.reload();
    await fresh.page.waitForFunction(() => window.app?.extensions?.some((e) => e.name === "EADNet") && window.app.canvas?.graph);
    await fresh.page.waitForTimeout(2500);
    await fresh.open(FIRST_RUN);
    await fresh.show("LoadImage", 1);
    await fresh.page.waitForTimeout(2000); // for the page to look for missing files
    await fresh.shot("without-samples");
    const marked = await fresh.page.evaluate(() => window.app.graph.nodes.filter((n) => n.has_errors).map((n) => n.type));
    assert.deepEqual(marked, []);
    if (RENDERER === "nodes2") await fresh.page.locator('[data-testid^="node-body-"]').getByText("eadnet_portrait.png").first().waitFor({ timeout: 10_000 });
  } finally {
    await fresh.close();
  }
});

test("the first workflow shows portrait and preview when it is opened, and ends in a video", async (t) => {
  await comfyui.open(FIRST_RUN);
  await comfyui.show("EADNet_Speak", 1);
  await page.getByRole("group", { name: "instant preview" }).locator("canvas").waitFor();
  const text = page.locator("textarea").filter({ visible: true }).first();
  await text.fill("trying not to laugh");
  const { event, seconds, detail } = await comfyui.run();
  assert.equal(event, "execution_success", JSON.stringify(detail));
  t.diagnostic(`from Run to the end: ${seconds.toFixed(1)} s`);
  const [width, height] = await comfyui.videoIn(3);
  assert.deepEqual([width, height], [512, 512]);
  await comfyui.shot("first-run");
  const { workflow } = await page.evaluate(() => window.app.graphToPrompt());
  writeFileSync(join(process.env.SHOTS, "first_run_as_run.json"), JSON.stringify(workflow));
});

test("a cached run shows the video on a page that has not seen it", async () => {
  const other = await openComfyUI();
  try {
    await other.open(join(process.env.SHOTS, "first_run_as_run.json"));
    await other.page.evaluate(() => {
      window.steps = 0;
      window.app.api.addEventListener("progress", () => window.steps++);
    });
    const { event, detail } = await other.run();
    assert.equal(event, "execution_success", JSON.stringify(detail));
    assert.equal(await other.page.evaluate(() => window.steps), 0, "something was computed");
    assert.deepEqual(await other.videoIn(3), [512, 512]);
    await other.shot("cached");
    assert.deepEqual(other.complaints, []);
  } finally {
    await other.close();
  }
});

/** An Emotion Prompt whose caption is looked at: a graph that needs no model. */
function captionGraph() {
  const node = (id, type, more) => ({ id, type, pos: [id * 500, 200], size: [400, 300], flags: {}, order: id, mode: 0, properties: {}, ...more });
  const nodes = [
    node(1, "EADNet_EmotionPrompt", {
      inputs: [],
      outputs: [{ name: "emotion", type: "EAD_EMOTION", links: [] }, { name: "caption", type: "STRING", links: [1] }],
      widgets_values: ["happy", "from text", 1, 0, 0, false],
    }),
    node(2, "PreviewAny", { inputs: [{ name: "source", type: "*", link: 1 }], outputs: [], widgets_values: [] }),
  ];
  const links = [[1, 1, 1, 2, 0, "STRING"]];
  return { version: 0.4, last_node_id: 2, last_link_id: 1, nodes, links, groups: [], config: {}, extra: {} };
}

test("a node's text is shown in it when it has run, and is saved nowhere", async () => {
  const path = join(process.env.SHOTS, "caption.json");
  writeFileSync(path, JSON.stringify(captionGraph()));
  await comfyui.open(path);
  await comfyui.show("EADNet_EmotionPrompt", 1);
  await page.locator("textarea").filter({ visible: true }).first().fill("so happy");
  const { event, detail } = await comfyui.run();
  assert.equal(event, "execution_success", JSON.stringify(detail));
  assert.match(await comfyui.text("EADNet_EmotionPrompt"), /^happy, intensity [01]\.\d\d/);
  await comfyui.shot("text");
  const { workflow, output } = await page.evaluate(() => window.app.graphToPrompt());
  assert.deepEqual(workflow.nodes.find((n) => n.id === 1).widgets_values, ["so happy", "from text", 1, 0, 0, false]);
  assert.deepEqual(Object.keys(output[1].inputs).sort(), ["arousal", "intensity", "preset", "text", "use_pad", "valence"]);
});

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
