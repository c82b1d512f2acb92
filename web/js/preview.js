/** The instant preview: this portrait with this emotion, in the node, without queueing the graph. */

import { ask } from "./ask.js";
import { button, el } from "./dom.js";
import { widgetOf } from "./graph_walk.js";
import { addPanel, app, follow, onGraphChange, setting } from "./host.js";
import { Newest, oneAtATime } from "./newest.js";
import { WATCHED, previewRequest } from "./preview_request.js";

export const SETTING = "EADNet.InstantPreview";

const DELAY_MS = 250;
const FPS = 25;

/** One request at a time from this page: the previews of many nodes must not slow one another. */
const gate = oneAtATime();

/** Adds the preview to a node. `onRead` hears how the words were read, {label, intensity, valence, arousal, note?} or null. */
export function addPreview(node, words, { onRead = () => {} } = {}) {
  const panel = new PreviewPanel(node, words);
  const newest = new Newest({
    delay_ms: DELAY_MS,
    run: (request, signal) => gate(() => post(request, signal), signal),
    onStart: () => panel.showBusy(),
    onResult: (answer, request) => {
      panel.showAnswer(answer, request);
      onRead(request.use_pad ? null : answer.read);
    },
    onError: (error) => panel.showError(error.message),
  });
  const askAgain = (force) => {
    if (!node.graph) return; // a clone: its values are set before it is added
    if (setting(SETTING) === false) return newest.cancel(), panel.showNote(words.asleep);
    const request = previewRequest(node, app.rootGraph ?? app.graph, { isStrip: panel.isStrip });
    if (request) return newest.ask(request, { force });
    newest.cancel();
    panel.showNote(words.text_unknown);
  };
  panel.onAsk = askAgain;
  for (const name of WATCHED) {
    const widget = widgetOf(node, name);
    if (widget) follow(widget, "callback", () => askAgain());
  }
  onGraphChange(node, () => askAgain());
  follow(node, "onRemoved", () => newest.cancel());
}

/** The server's answer, with its frames as pictures. */
async function post(request, signal) {
  const answer = await (await ask("/eadnet/preview", request, signal)).json();
  return { ...answer, pictures: await Promise.all(answer.frames.map(decode)) };
}

async function decode(address) {
  const picture = Object.assign(new Image(), { src: address });
  await picture.decode();
  return picture;
}

class PreviewPanel {
  onAsk = () => {};
  #playing = null;

  constructor(node, words) {
    Object.assign(this, { node, words });
    this.canvas = el("canvas", { role: "img", hidden: true });
    this.note = el("div", { className: "eadnet-note", textContent: words.no_face_yet });
    this.stage = el("div", { className: "eadnet-stage" }, this.canvas, this.note);
    this.line = el("span", { className: "eadnet-grow eadnet-ellipsis", role: "status" });
    this.kind = button("", words.strip_hint, () => this.#toggle());
    this.again = button("↻", words.refresh, () => this.onAsk(true));
    const row = el("div", { className: "eadnet-row" }, this.line, this.kind, this.again);
    const root = el("div", { className: "eadnet", role: "group", "aria-label": words.preview }, this.stage, row);
    addPanel(node, "preview", root, 240, 420);
    this.#showKind();
    follow(node, "onConfigure", () => this.#showKind());
    follow(node, "onRemoved", () => clearInterval(this.#playing));
  }

  /** Whether a second in motion is wanted; kept with the node in the workflow. */
  get isStrip() {
    return this.node.properties.eadnet_preview === "strip";
  }

  showBusy() {
    this.stage.dataset.busy = true;
  }

  showAnswer({ pictures, seconds, read }, request) {
    this.#idle();
    const said = read ? (read.note ?? `${this.words.choice(read.label)} ${read.intensity.toFixed(2)}`) : "";
    const portrait = request.image ? [] : [this.words.sample];
    this.line.textContent = [said, ...portrait, `${seconds.toFixed(2)} s`].filter(Boolean).join(" · ");
    this.line.title = this.line.textContent;
    this.canvas.setAttribute("aria-label", `${this.words.preview}: ${said}`);
    this.#show(pictures);
  }

  showError(message) {
    this.#idle();
    this.line.textContent = this.line.title = message;
    this.line.classList.add("eadnet-bad");
    if (this.canvas.hidden) this.showNote(message);
  }

  /** Words instead of a face. */
  showNote(text) {
    this.#idle();
    clearInterval(this.#playing);
    this.canvas.hidden = true;
    this.note.hidden = false;
    this.note.textContent = text;
  }

  #idle() {
    this.stage.dataset.busy = false;
    this.line.classList.remove("eadnet-bad");
    this.line.textContent = "";
  }

  #show(pictures) {
    clearInterval(this.#playing);
    this.note.hidden = true;
    this.canvas.hidden = false;
    this.canvas.width = pictures[0].naturalWidth;
    this.canvas.height = pictures[0].naturalHeight;
    this.canvas.dataset.frames = pictures.length;
    const context = this.canvas.getContext("2d");
    let i = 0;
    const draw = () => context.drawImage(pictures[i++ % pictures.length], 0, 0);
    draw();
    if (pictures.length > 1) this.#playing = setInterval(draw, 1000 / FPS);
  }

  #showKind() {
    this.kind.textContent = this.isStrip ? this.words.strip : this.words.still;
    this.kind.setAttribute("aria-pressed", this.isStrip);
  }

  #toggle() {
    this.node.properties.eadnet_preview = this.isStrip ? "still" : "strip";
    this.#showKind();
    this.onAsk();
  }
}
