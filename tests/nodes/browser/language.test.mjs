/** The nodes that language models work in: only the fields of the chosen provider are there, and what they say is shown. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const CAPTION = "EADNet_LLMEmotionCaption";
const DIRECTOR = new URL("../../../workflows/step_06_direct_a_script.json", import.meta.url).pathname;
const ASKED = ["max_tokens", "temperature", "seed", "retries"];
const FIELDS = {
  rules: ["prosody_weight"],
  local_text: ["model", ...ASKED],
  local_vision: ["model", ...ASKED],
  openai: ["endpoint", "model", ...ASKED, "timeout_s"],
};
/** A port where nobody answers, at once. */
const NOBODY = "http://127.0.0.1:9/v1";
let comfyui, page;

before(async () => {
  comfyui = await openComfyUI();
  ({ page } = comfyui);
  await comfyui.forget();
});

after(() => comfyui?.close());

/** A caption of words: a graph that needs no model. */
function captionGraph() {
  const node = (id, type, more) => ({ id, type, pos: [id * 500, 200], size: [400, 420], flags: {}, order: id, mode: 0, properties: {}, ...more });
  const nodes = [
    node(1, CAPTION, {
      inputs: [],
      outputs: [{ name: "caption", type: "STRING", links: [1] }, { name: "emotion", type: "EAD_EMOTION", links: [] }],
      widgets_values: ["rules", 0.25, "very sad"],
    }),
    node(2, "PreviewAny", { inputs: [{ name: "source", type: "*", link: 1 }], outputs: [], widgets_values: [] }),
  ];
  const links = [[1, 1, 0, 2, 0, "STRING"]];
  return { version: 0.4, last_node_id: 2, last_link_id: 1, nodes, links, groups: [], config: {}, extra: {} };
}

const asked = async () => (await page.evaluate(() => window.app.graphToPrompt())).output[1].inputs;
const said = (type) => comfyui.text(type);

test("a caption node from a file has the rules' field and its value", async () => {
  const path = join(process.env.SHOTS, "caption.json");
  writeFileSync(path, JSON.stringify(captionGraph()));
  await comfyui.open(path);
  await comfyui.show(CAPTION, 1);
  assert.deepEqual(await asked(), { provider: "rules", "provider.prosody_weight": 0.25, text: "very sad" });
});

for (const [provider, fields] of Object.entries(FIELDS).reverse()) {
  test(`'${provider}' shows its own fields and no others`, async () => {
    await comfyui.choose(CAPTION, "provider", provider);
    const shown = await comfyui.fields(CAPTION);
    assert.deepEqual(shown.filter((name) => !["provider", "text"].includes(name)), fields);
    const own = fields.map((name) => `provider.${name}`);
    assert.deepEqual(Object.keys(await asked()).sort(), ["provider", "text", ...own].sort());
    await comfyui.shot(`provider-${provider}`);
  });
}

test("the caption of the words is shown in the node", async () => {
  const { event, detail } = await comfyui.run();
  assert.equal(event, "execution_success", JSON.stringify(detail));
  assert.match(await said(CAPTION), /^sad, intensity [01]\.\d\d.*\(rules\)\nThe face looks very sad/);
  await comfyui.shot("caption");
});

test("a server that does not answer leaves it to the rules, and the node says so", async () => {
  await comfyui.choose(CAPTION, "provider", "openai");
  await comfyui.type(CAPTION, "provider.retries", "0");
  const { "provider.endpoint": endpoint, "provider.retries": retries } = await asked();
  assert.deepEqual([endpoint, retries], ["ollama", 0]);
  const { event, detail } = await comfyui.run();
  assert.equal(event, "execution_success", JSON.stringify(detail));
  await page.waitForFunction(() => document.querySelector(".eadnet-text").textContent.includes("Note:"));
  assert.match(await said(CAPTION), /\(rules\)\nThe face looks very sad[^]*Note: .*127\.0\.0\.1:11434/);
});

test("a file saved with an address opens, every value in its place, and the node says what to do", async () => {
  const graph = captionGraph();
  graph.nodes[0].widgets_values = ["openai", NOBODY, "qwen2.5vl", 123, 0.5, 7, 1, 45, "very sad"];
  const path = join(process.env.SHOTS, "with_address.json");
  writeFileSync(path, JSON.stringify(graph));
  await comfyui.open(path);
  const values = ["openai", NOBODY, "qwen2.5vl", 123, 0.5, 7, 1, 45].map((value, i) => [["provider", ...FIELDS.openai.map((name) => `provider.${name}`)][i], value]);
  assert.deepEqual(await asked(), { ...Object.fromEntries(values), text: "very sad" });
  const { event, detail } = await comfyui.run();
  assert.equal(event, "execution_error");
  assert.match(detail.exception_message, /endpoint must be a name.*endpoints\.json/);
});

test("the director says which words it changes at, and a face follows", async () => {
  await comfyui.open(DIRECTOR);
  const { event, detail } = await comfyui.run();
  assert.equal(event, "execution_success", JSON.stringify(detail));
  await comfyui.show("EADNet_Director", 1);
  const lines = (await said("EADNet_Director")).split("\n");
  assert.deepEqual(lines.slice(0, 3).map((line) => line.replace(/^\d+\.\d\d s {2}/, "")), ["wistful", "nervous", "overjoyed"]);
  await comfyui.shot("director");
});

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
