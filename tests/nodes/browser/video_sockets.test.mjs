/** Sockets that take a picture or a video: both connect, a sound does not. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

let comfyui;

before(async () => {
  comfyui = await openComfyUI();
});
after(() => comfyui?.close());

for (const [type, name] of [
  ["EADNet_Face", "image"],
  ["EADNet_RenderVideo", "portrait"],
  ["EADNet_DecodePaste", "portrait"],
  ["EADNet_Speak", "image"],
  ["EADNet_Mask", "images"],
]) {
  test(`${type} takes pictures and videos at '${name}'`, async () => {
    const joined = await comfyui.page.evaluate(
      ([type, name]) => {
        const add = (kind) => {
          const node = window.LiteGraph.createNode(kind);
          window.app.graph.add(node);
          return node;
        };
        const node = add(type);
        const slot = node.inputs.findIndex((input) => input.name === name);
        return ["LoadImage", "LoadVideo", "LoadAudio"].map((kind) => {
          node.disconnectInput(slot);
          add(kind).connect(0, node, slot);
          return node.inputs[slot].link != null;
        });
      },
      [type, name],
    );
    assert.deepEqual(joined, [true, true, false]);
  });
}
