/** A run that is watched: its video grows in the node, and words that are changed meanwhile are sent to it. */

import { ask } from "./ask.js";
import { el } from "./dom.js";
import { isWire, nodeAt, sourceOf, widgetOf } from "./graph_walk.js";
import { addPanel, announce, api, app, follow, grow, setting, showOwnVideo } from "./host.js";
import { Newest } from "./newest.js";
import { PREVIEWED, WATCHED, previewRequest } from "./preview_request.js";
import { wordsFor } from "./words.js";

/** What the server says when such a run begins: {node, name}. */
const BEGINS = "eadnet_live";
const ENDS = ["execution_success", "execution_error", "execution_interrupted"];
const HEIGHT_PX = 260;
const DELAY_MS = 250;

const panels = new WeakMap();
let runs = [];

const rootGraph = () => app.rootGraph ?? app.graph;

/** Shows such runs from now on. */
export function showLiveRuns() {
  api.addEventListener(BEGINS, ({ detail }) => {
    const node = nodeAt(detail.node, rootGraph());
    if (node) runs.push(new LiveRun(node, detail.name));
  });
  for (const end of ENDS) {
    api.addEventListener(end, () => {
      for (const run of runs) run.end();
      runs = [];
    });
  }
}

/** Sends the words of a node to the runs that it feeds, whenever they change. */
export function sendWords(node) {
  for (const name of WATCHED) {
    const widget = widgetOf(node, name);
    if (widget) follow(widget, "callback", () => runs.forEach((run) => run.wordsChanged(node)));
  }
}

class LiveRun {
  constructor(node, name) {
    const kind = node.comfyClass ?? node.type;
    this.source = PREVIEWED.includes(kind) ? node : sourceOf(node, "emotion", PREVIEWED, rootGraph(), isWire);
    this.name = name;
    if (!panels.has(node)) panels.set(node, new LivePanel(node, wordsFor(setting("Comfy.Locale"))));
    this.panel = panels.get(node);
    this.panel.show(api.apiURL(`/eadnet/live/${name}`));
    this.newest = new Newest({
      delay_ms: DELAY_MS,
      run: async (request, signal) => (await ask("/eadnet/live", request, signal)).json(),
      onResult: ({ read }) => this.panel.say(read.note ?? `${read.text || read.label} · ${read.intensity.toFixed(2)}`),
      onError: (error) => this.panel.say(error.message),
    });
  }

  wordsChanged(node) {
    const request = node === this.source && previewRequest(node, rootGraph(), { isStrip: false });
    if (request) this.newest.ask({ ...request, name: this.name });
  }

  end() {
    this.newest.cancel();
    this.panel.hide();
  }
}

/** The growing video, and how new words were read; it takes no place between two runs, and the earlier one none meanwhile. */
class LivePanel {
  constructor(node, words) {
    Object.assign(this, { node, words });
    this.video = el("video", { className: "eadnet-live", controls: true, autoplay: true, "aria-label": words.live });
    this.line = el("div", { className: "eadnet-ellipsis eadnet-dim", role: "status" });
    this.root = el("div", { className: "eadnet" }, this.video, this.line);
    this.widget = addPanel(node, "live_video", this.root, HEIGHT_PX, 2 * HEIGHT_PX);
    announce(node);
  }

  show(address) {
    this.#take(HEIGHT_PX);
    this.say(this.words.live_hint);
    this.video.src = address;
    this.video.play().catch(() => {
      this.video.muted = true; // a page that nobody has clicked may not make a sound
      this.video.play().catch(() => {});
    });
  }

  say(text) {
    this.line.textContent = this.line.title = text;
  }

  hide() {
    this.video.removeAttribute("src");
    this.video.load();
    this.#take(0);
  }

  #take(height_px) {
    this.root.hidden = !height_px;
    this.root.style.minHeight = `${height_px}px`;
    this.widget.options.getMinHeight = () => height_px;
    this.widget.options.getMaxHeight = () => 2 * height_px;
    showOwnVideo(this.node, !height_px);
    grow(this.node);
  }
}
