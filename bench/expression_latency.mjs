/**
 * Prints how long the expression editor's picture takes in the page: from a slider's event to the new picture's frame.
 *
 *   COMFYUI_URL=http://127.0.0.1:8188 RENDERER=classic CHROMIUM=/usr/bin/chromium node bench/expression_latency.mjs [MOVES]
 *
 * MOVES  of a slider, for each side of the portrait; 50 where it is not given. Each waits for the picture of the last one
 */

import { openComfyUI } from "../tests/nodes/browser/comfyui_page.mjs";

const WORKFLOW = new URL("../workflows/step_09_pose_a_still.json", import.meta.url).pathname;
const SIDES_PX = [512, 1024];
const N_WARM = 3;
const PAUSE_MS = 30;
const n_moves = Number(process.argv[2] ?? 50);

const comfyui = await openComfyUI();
const { page } = comfyui;
await comfyui.open(WORKFLOW);
await comfyui.show("EADNet_ExpressionEditor", 0.8);
const panel = page.getByRole("group", { name: "expression of the face" });
await panel.locator("canvas").waitFor();
for (const side of SIDES_PX) {
  await page.evaluate(usePortrait, side);
  await page.waitForTimeout(5000); // the sharp picture of the portrait at rest, and the page's own work
  const seen = [];
  for (let i = 0; i < N_WARM + n_moves; i++) {
    seen.push(await panel.locator('[data-slider="corners"]').evaluate(move, ((i % 90) + 1) / 100));
    await page.waitForTimeout(PAUSE_MS);
  }
  const moves = seen.slice(N_WARM);
  const part = (values, q) => values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))].toFixed(0);
  const [page_ms, server_ms] = ["page_ms", "server_ms"].map((name) => moves.map((m) => m[name]));
  console.log(
    `portrait ${side} px, picture ${moves[0].picture_px} px, ${n_moves} moves: median ${part(page_ms, 0.5)} ms, 95 % ${part(page_ms, 0.95)} ms`,
    `(of it in the server: median ${part(server_ms, 0.5)} ms, 95 % ${part(server_ms, 0.95)} ms)`,
  );
}
await comfyui.close();

/** In the page: gives the graph's loader its portrait with this side. */
async function usePortrait(side) {
  const [loader] = window.app.canvas.graph.findNodesByType("LoadImage");
  const portrait = new Image();
  portrait.src = "/api/view?filename=eadnet_portrait.png&type=input";
  await portrait.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  canvas.getContext("2d").drawImage(portrait, 0, 0, side, side);
  const form = new FormData();
  form.append("image", await new Promise((done) => canvas.toBlob(done)), `latency_${side}.png`);
  form.append("overwrite", "true");
  const { name } = await (await fetch("/api/upload/image", { method: "POST", body: form })).json();
  const widget = loader.widgets.find((w) => w.name === "image");
  widget.value = name;
  widget.callback?.(name);
  window.app.api.dispatchCustomEvent("graphChanged");
}

/** In the page: moves a slider, and waits for the frame that shows the picture of it. */
function move(range, value) {
  return new Promise((done) => {
    const began = performance.now();
    const canvas = document.querySelector('[data-panel="expression"] canvas');
    const seen = new MutationObserver(() => {
      if (JSON.parse(canvas.dataset.values).corners !== Number(range.value)) return;
      seen.disconnect();
      const server_ms = Number(/(\d+) ms$/.exec(document.querySelector('[data-panel="expression"] [role="status"]').textContent)[1]);
      requestAnimationFrame(() => done({ page_ms: performance.now() - began, server_ms, picture_px: canvas.width }));
    });
    seen.observe(canvas, { attributes: true, attributeFilter: ["data-values"] });
    range.value = value;
    range.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
