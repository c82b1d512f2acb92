/** Runs after the first, of which parts are cached: each shows its own video, and one with nothing new shows the last. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const SPEAK = "EADNet_Speak";
const CONVERSATION = "EADNet_Conversation";
let comfyui, page;

before(async () => {
  comfyui = await openComfyUI();
  ({ page } = comfyui);
});

after(() => comfyui?.close());

/** Runs the graph; the file of the video that is then shown in the first node of a type. */
async function videoAfterARun(type, name) {
  const { event, detail } = await comfyui.run();
  assert.equal(event, "execution_success", JSON.stringify(detail));
  await page.waitForTimeout(3000); // what is said last stays
  await comfyui.show(type, 0.5);
  await comfyui.shot(name);
  const id = await page.evaluate((type) => window.app.graph.findNodesByType(type)[0].id, type);
  assert.deepEqual(await comfyui.videosIn(id), ["own"], `${name}: not one video is shown`);
  const [width, height] = await comfyui.videoIn(id);
  assert.ok(width > 0 && height > 0);
  return comfyui.videoFile(id);
}

/** A first run, one with a change, and one without. */
async function threeRuns(type, workflow, change) {
  await comfyui.forget();
  await comfyui.open(new URL(`../../../workflows/${workflow}.json`, import.meta.url).pathname);
  const first = await videoAfterARun(type, `${workflow}-first`);
  await comfyui.show(type, 1);
  await change();
  const second = await videoAfterARun(type, `${workflow}-second`);
  assert.match(first, /\.mp4$/);
  assert.notEqual(second, first, "the second run's video is not shown");
  assert.equal(await videoAfterARun(type, `${workflow}-third`), second);
}

test("Speak shows the video of a second run with other words", () =>
  threeRuns(SPEAK, "first_run", () => page.locator("textarea").filter({ visible: true }).first().fill("trying not to laugh")));

test("Conversation shows the video of a second run with another seed", () =>
  threeRuns(CONVERSATION, "step_12_two_speakers", () => comfyui.type(CONVERSATION, "seed", "7")));

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
