/**
 * The video of a node that becomes other nodes when it runs.
 *
 * Those show the video in it, but a cached run asks none of them. So the node itself says, before it becomes them, which
 * file the video will be. When a cached run says so again, the file is there, and is shown as the node's own.
 *
 * Where only some of them are cached, ComfyUI has these say their texts again at the end of the run. Nodes 2.0 shows what
 * was said last, and would show no video: it is said with them.
 */

import { nodeAt } from "./graph_walk.js";
import { api, app } from "./host.js";

/** Ids of the nodes of the newest run that are not computed again. */
let cached = new Set();
/** {images, animated} that the newest run has shown in each node that becomes others. */
let shown = new Map();

/** Shows such videos from now on. */
export function showCachedVideos() {
  api.addEventListener("execution_start", () => (shown = new Map()));
  api.addEventListener("execution_cached", ({ detail }) => (cached = new Set(detail.nodes)));
  api.addEventListener("executed", ({ detail }) => {
    const images = detail.output?.eadnet_video;
    if (!images || !cached.has(detail.node)) return;
    api.dispatchCustomEvent("executed", { ...detail, output: { images, animated: [true] } });
  });
  api.addEventListener("executed", ({ detail: { node, display_node, output, ...others } }) => {
    if (display_node === node || !isOurs(display_node)) return;
    const { images, animated } = output ?? {};
    if (images) return shown.set(display_node, { images, animated });
    const video = shown.get(display_node);
    if (video) api.dispatchCustomEvent("executed", { ...others, node: display_node, display_node, output: { ...output, ...video } });
  });
}

function isOurs(id) {
  return nodeAt(id, app.rootGraph ?? app.graph)?.comfyClass?.startsWith("EADNet_") ?? false;
}
