/** The face at the playhead: the portrait of the graph with what the track asks of it there, before any run. */

import { ask } from "./ask.js";
import { el } from "./dom.js";
import { toRead } from "./feelings.js";
import { freeValue, partnerOf } from "./graph_walk.js";
import { app, setting } from "./host.js";
import { around, formatTrack } from "./keyframes.js";
import { Live } from "./newest.js";
import { SETTING } from "./preview.js";
import { portraitOf } from "./preview_request.js";

/** Nodes that take the portrait which the emotion is for. */
const TAKERS = ["EADNet_Face", "EADNet_Speak"];
const SIZE_STEP_PX = 64;
const LEAST_PX = 128;
const MOST_PX = 512;
/** As wide as the node's own widget goes. */
const MOST_FADE_S = 60;

export class TrackFace {
  /** A portrait that cannot be shown, as JSON: it is not asked for with every move of the playhead. */
  #refused = null;
  #asked = null;

  constructor(node, words) {
    Object.assign(this, { node, words });
    this.canvas = el("canvas", { role: "img", hidden: true });
    this.note = el("div", { className: "eadnet-note", textContent: words.no_face_yet });
    this.said = el("div", { className: "eadnet-said eadnet-ellipsis", role: "status" });
    this.root = el("div", { className: "eadnet-face" }, el("div", { className: "eadnet-stage" }, this.canvas, this.note), this.said);
    this.live = new Live({
      run: (request) => post(request),
      onResult: (answer, request) => this.#showAnswer(answer, request),
      onError: (error) => !error.isBusy && this.#refuse(error.message),
    });
  }

  /** Whether it is shown; kept with the node in the workflow. */
  get isOn() {
    return this.node.properties.eadnet_face !== false;
  }

  /** Asks for the face of a track at a time, where it is shown; `turned` is what a motion does there, or null. */
  show(track, time, cross_fade_s, turned) {
    this.root.hidden = !this.isOn;
    if (!this.isOn || !this.node.graph) return this.live.cancel();
    if (setting(SETTING) === false) return this.#showNote(this.words.asleep);
    const keyframes = around(track, time);
    if (!keyframes.length) return this.#showNote(this.words.no_face_yet);
    if (!keyframes.every(toRead)) return this.#showNote(this.words.face_auto);
    const cross_fade = Math.min(cross_fade_s, MOST_FADE_S);
    const at = Math.round(time * 100) / 100;
    const portrait = this.#portrait();
    this.#asked = JSON.stringify(portrait);
    if (this.#asked === this.#refused) return;
    this.live.ask({ ...portrait, keyframes: formatTrack(keyframes), cross_fade, time: at, size: this.#wantedPx(), ...(turned ? { turned } : {}) });
  }

  /** Something in the graph or its files has changed: what was refused may be there. */
  retry() {
    this.#refused = null;
  }

  close() {
    this.live.cancel();
  }

  #refuse(reason) {
    this.#refused = this.#asked;
    this.#showNote(reason);
  }

  #portrait() {
    const root = app.rootGraph ?? app.graph;
    const taker = TAKERS.map((type) => partnerOf(this.node, type, root)).find(Boolean);
    if (!taker) return {};
    return { ...portraitOf(taker, root), accept_any_face: freeValue(taker, "accept_any_face") ?? false };
  }

  /** Side of the square that fills the panel's pixels. */
  #wantedPx() {
    const shown = this.root.getBoundingClientRect().width * (window.devicePixelRatio || 1);
    return Math.min(Math.max(Math.ceil(shown / SIZE_STEP_PX) * SIZE_STEP_PX, LEAST_PX), MOST_PX);
  }

  #showAnswer({ picture, read }, request) {
    const { canvas, words } = this;
    this.note.hidden = true;
    canvas.hidden = false;
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.getContext("2d").drawImage(picture, 0, 0);
    picture.close();
    canvas.dataset.time = request.time;
    const feeling = read.intensity ? `${words.choice(read.label)} ${read.intensity.toFixed(2)}` : words.choice("neutral");
    this.said.textContent = feeling;
    this.said.title = request.image ? feeling : `${feeling} · ${words.sample}`;
    canvas.setAttribute("aria-label", `${words.face}: ${this.said.title}`);
  }

  #showNote(text) {
    this.live.cancel();
    this.canvas.hidden = true;
    this.note.hidden = false;
    this.note.textContent = this.note.title = text;
    this.said.textContent = "";
  }
}

async function post(request) {
  const response = await ask("/eadnet/track_face", request);
  const read = JSON.parse(response.headers.get("EADNet-Read"));
  return { picture: await createImageBitmap(await response.blob()), read };
}
