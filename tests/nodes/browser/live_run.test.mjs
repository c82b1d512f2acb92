/** A run with `live`: the video grows in the node, and words that are typed meanwhile are sent to it. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const FIRST_RUN = new URL("../../../workflows/first_run.json", import.meta.url).pathname;
const SPEAK = "EADNet_Speak";
let comfyui, page, text, speak, seen;

before(async () => {
  comfyui = await openComfyUI();
  ({ page } = comfyui);
  await comfyui.forget();
  await comfyui.open(FIRST_RUN);
  await comfyui.show(SPEAK, 1);
  text = page.locator("textarea").filter({ visible: true }).first();
  await text.fill("calm");
  speak = await page.evaluate(() => {
    const node = window.app.graph.nodes.find((n) => n.comfyClass === "EADNet_Speak");
    node.widgets.find((w) => w.name === "live").value = true;
    return node.id;
  });
  const answered = page.waitForResponse((r) => r.url().endsWith("/eadnet/live") && r.request().method() === "POST");
  const running = comfyui.run();
  const video = page.locator("video.eadnet-live");
  await video.waitFor();
  await text.fill("furious");
  const answer = await answered;
  await page.waitForFunction(() => document.querySelector("video.eadnet-live").videoWidth > 0);
  const read = page.locator('[data-panel="live_video"] [role="status"]').filter({ hasText: "furious" });
  await read.waitFor();
  await comfyui.show(SPEAK, 0.5);
  await video.evaluate((v) => new Promise((done) => (v.currentTime > 0.3 ? done() : v.addEventListener("timeupdate", () => v.currentTime > 0.3 && done()))));
  await comfyui.shot("live-run");
  const shown = await video.evaluate((v) => [v.videoWidth, v.videoHeight, v.getAttribute("aria-label")]);
  seen = { asked: answer.request().postDataJSON(), status: answer.status(), shown, ended: await running };
});

after(() => comfyui?.close());

test("the video grows in the node while it is made", () => {
  assert.equal(seen.ended.event, "execution_success", JSON.stringify(seen.ended.detail));
  assert.deepEqual(seen.shown, [512, 512, "The video, growing while it is made"]);
});

test("words that are typed meanwhile are sent to the run", () => {
  assert.equal(seen.status, 200);
  assert.equal(seen.asked.text, "furious");
  assert.match(seen.asked.name, /^eadnet_[0-9a-f]{12}$/);
});

test("after the run its own video stands in the node, and the growing one takes no place", async () => {
  assert.equal(await page.locator("video.eadnet-live").isVisible(), false);
  assert.deepEqual(await comfyui.videoIn(speak), [512, 512]);
  await comfyui.shot("live-run-over");
});

test("in a second run the earlier video makes room for the one that grows", async () => {
  await comfyui.show(SPEAK, 1);
  await text.fill("afraid");
  const running = comfyui.run();
  await page.locator("video.eadnet-live").filter({ visible: true }).waitFor();
  await page.waitForFunction(() => document.querySelector("video.eadnet-live").videoWidth > 0);
  await comfyui.show(SPEAK, 0.5);
  const videos = await comfyui.videosIn(speak);
  await comfyui.shot("live-run-second");
  assert.equal((await running).event, "execution_success");
  assert.deepEqual(videos, ["growing"]);
  assert.deepEqual(await comfyui.videoIn(speak), [512, 512]);
  await comfyui.show(SPEAK, 0.5);
  assert.deepEqual(await comfyui.videosIn(speak), ["own"]);
});

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
