import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const SOURCE = readFileSync(new URL("../../web/js/socket_colors.js", import.meta.url), "utf8");
const SOCKETS = Object.fromEntries([...SOURCE.matchAll(/(EAD_\w+): "(#\w{6})"/g)].map(([, type, color]) => [type, color]));
/** Bodies of nodes in ComfyUI's palettes Dark and Light. */
const NODES = ["#353535", "#f0f0f0"];

const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const luminance = (color) => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => sum + w * linear(parseInt(color.slice(1 + 2 * i, 3 + 2 * i), 16) / 255), 0);
const contrast = (a, b) => (Math.max(luminance(a), luminance(b)) + 0.05) / (Math.min(luminance(a), luminance(b)) + 0.05);

test("every type of the pack has a colour, and no two the same", () => {
  const types = readFileSync(new URL("../../nodes/sockets.py", import.meta.url), "utf8").matchAll(/io\.Custom\("(\w+)"\)/g);
  assert.deepEqual(Object.keys(SOCKETS).sort(), [...types].map(([, type]) => type).sort());
  assert.equal(new Set(Object.values(SOCKETS)).size, Object.keys(SOCKETS).length);
});

test("each stands out on dark and on light nodes", () => {
  for (const [type, color] of Object.entries(SOCKETS)) {
    for (const node of NODES) assert.ok(contrast(color, node) >= 2.9, `${type} on ${node}: ${contrast(color, node).toFixed(2)}`);
  }
});
