/**
 * Draws the pictures beside the workflows: runs each in a running ComfyUI, and lays out faces of what came of it.
 *
 *   COMFYUI_URL=http://127.0.0.1:8188 RENDERER=classic CHROMIUM=/usr/bin/chromium node stills.mjs [NAME ..]
 *
 * NAME  a workflow without ".json"; all of them where none is named
 */

import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openComfyUI } from "./comfyui_page.mjs";

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "workflows");
const SIDE_PX = 512;
const LIMIT_BYTES = 40_000;

/** What a picture shows, row by row: the type of a node that loads or shows something, and the part of its video that has passed. */
const USUAL = [["SaveVideo", 0.06], ["SaveVideo", 0.35], ["SaveVideo", 0.6], ["SaveVideo", 0.85]];
const OTHERS = {
  emotional_talking_head: [["LoadImage", 0], ["PreviewImage", 0], ["SaveVideo", 0.35], ["SaveVideo", 0.85]],
  step_03_compare_emotions: [["SaveVideo", 0.5]],
  step_07_emotion_from_a_clip: [["LoadVideo", 0.5], ["SaveVideo", 0.35], ["SaveVideo", 0.6], ["SaveVideo", 0.85]],
  step_09_pose_a_still: [["LoadImage", 0], ["PreviewImage", 0], ["SaveVideo", 0.35], ["SaveVideo", 0.6]],
  step_11_performance_from_a_video: [["LoadVideo", 0.2], ["SaveVideo", 0.1], ["LoadVideo", 0.8], ["SaveVideo", 0.42]],
  step_12_two_speakers: [["SaveVideo", 0.53], ["SaveVideo", 0.88]],
  step_13_style_of_a_speaker: [["LoadVideo", 0.5], ["SaveVideo", 0.15], ["SaveVideo", 0.5], ["SaveVideo", 0.85]],
  step_10_score_a_video: [["LoadVideo", 0.1], ["LoadVideo", 0.4], ["LoadVideo", 0.7], ["PreviewImage", 0]],
};

const { COMFYUI_URL } = process.env;
const named = process.argv.slice(2);
const files = (await readdir(FOLDER)).filter((name) => name.endsWith(".json")).map((name) => basename(name, ".json"));
const comfyui = await openComfyUI();
for (const name of named.length ? named : files) {
  const path = join(FOLDER, `${name}.json`);
  await comfyui.open(path);
  const { event, seconds, detail } = await comfyui.run();
  assert.equal(event, "execution_success", `${name}: ${JSON.stringify(detail)}`);
  const { [detail.prompt_id]: history } = await (await fetch(`${COMFYUI_URL}/history/${detail.prompt_id}`)).json();
  const { nodes } = JSON.parse(await readFile(path, "utf8"));
  const address = (type) => addressOf(nodes.find((n) => n.type === type), history.outputs);
  const shown = (OTHERS[name] ?? USUAL).map(([type, passed]) => ({ address: address(type), isVideo: type.endsWith("Video"), passed }));
  const jpeg = Buffer.from(await comfyui.page.evaluate(draw, { shown, side: SIDE_PX, limit: LIMIT_BYTES }), "base64");
  await writeFile(join(FOLDER, `${name}.jpg`), jpeg);
  console.log(name, `${seconds.toFixed(1)} s, ${jpeg.length} bytes`);
}
await comfyui.close();

/** Where the server has what a node has loaded or made. */
function addressOf({ id, type, widgets_values: [loaded] }, outputs) {
  const file = type.startsWith("Load") ? { filename: loaded, subfolder: "", type: "input" } : outputs[id].images[0];
  return `/api/view?${new URLSearchParams(file)}`;
}

/** In the page: pictures in a square of rows and columns, as a JPEG within the limit, in base64. */
async function draw({ shown, side, limit }) {
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, side, side);
  const tiles = [];
  for (const { address, isVideo, passed } of shown) {
    const media = document.createElement(isVideo ? "video" : "img");
    const happened = (event) => new Promise((done) => media.addEventListener(event, done, { once: true }));
    const loaded = happened(isVideo ? "loadeddata" : "load");
    media.src = address;
    await loaded;
    if (isVideo) {
      const sought = happened("seeked");
      media.currentTime = passed * media.duration;
      await sought;
    }
    const [width, height] = isVideo ? [media.videoWidth, media.videoHeight] : [media.naturalWidth, media.naturalHeight];
    tiles.push({ media, width, height });
  }
  const isWide = tiles.every(({ width, height }) => width > 1.5 * height);
  const columns = Math.ceil(Math.sqrt(tiles.length / (isWide ? 2 : 1)));
  const [tileWidth, tileHeight] = [side / columns, side / Math.ceil(tiles.length / columns)];
  for (const [i, { media, width, height }] of tiles.entries()) {
    const scale = Math.min(tileWidth / width, tileHeight / height);
    const [x, y] = [(i % columns) * tileWidth, Math.floor(i / columns) * tileHeight];
    context.drawImage(media, x + (tileWidth - width * scale) / 2, y + (tileHeight - height * scale) / 2, width * scale, height * scale);
  }
  for (let quality = 0.9; ; quality -= 0.05) {
    const [, jpeg] = canvas.toDataURL("image/jpeg", quality).split(",");
    if ((jpeg.length * 3) / 4 <= limit) return jpeg;
  }
}
