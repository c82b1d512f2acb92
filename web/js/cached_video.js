/**
 * The video of a node that becomes other nodes when it runs.
 *
 * Those show the video in it, but a cached run asks none of them. So the node itself says, before it becomes them, which
 * file the video will be. When a cached run says so again, the file is there, and is shown as the node's own.
 */

import { api } from "./host.js";

/** Ids of the nodes of the newest run that are not computed again. */
let cached = new Set();

/** Shows such videos from now on. */
export function showCachedVideos() {
  api.addEventListener("execution_cached", ({ detail }) => (cached = new Set(detail.nodes)));
  api.addEventListener("executed", ({ detail }) => {
    const images = detail.output?.eadnet_video;
    if (!images || !cached.has(detail.node)) return;
    api.dispatchCustomEvent("executed", { ...detail, output: { images, animated: [true] } });
  });
}
