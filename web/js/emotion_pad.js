/** The valence/arousal pad of the Emotion Prompt node: the eight emotions as points, a point to drag between them. */

import { el } from "./dom.js";
import { widgetOf } from "./graph_walk.js";
import { addPanel, api, commit, follow, onGraphChange, setValue } from "./host.js";
import { labelSides, nearest, step, toPlace, toPoint, withWord } from "./pad_plane.js";

const STEP = 0.05;
const FINE_STEP = 0.01;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

let asked = null;

/** The eight emotions with their places, asked of the server once: [{name, valence, arousal}]. */
function emotionPoints() {
  asked ??= api.fetchApi("/eadnet/emotions").then(async (response) => {
    const answer = await response.json();
    return answer.emotions ?? answer;
  });
  return asked;
}

/** Adds the pad to a node with widgets `valence`, `arousal` and `use_pad`. Returns {showRead}. */
export function addEmotionPad(node, words) {
  const widgets = Object.fromEntries(["valence", "arousal", "use_pad", "text"].map((n) => [n, widgetOf(node, n)]));
  const pad = new EmotionPad(node, widgets, words);
  emotionPoints().then((emotions) => pad.setEmotions(emotions));
  return pad;
}

class EmotionPad {
  #emotions = [];

  constructor(node, widgets, words) {
    Object.assign(this, { node, widgets, words });
    this.point = el("button", { className: "eadnet-point", type: "button", title: words.pad });
    this.read = el("div", { className: "eadnet-read", hidden: true });
    this.plane = el("div", { className: "eadnet-pad", role: "group", "aria-label": words.pad }, ...this.#axes());
    this.plane.append(this.read, this.point);
    this.state = el("button", { className: "eadnet-button", type: "button", onclick: () => this.#switch() });
    this.where = el("span", { className: "eadnet-grow eadnet-ellipsis eadnet-dim" });
    this.word = el("button", { className: "eadnet-button eadnet-ellipsis", type: "button", onclick: () => this.#write() });
    const row = el("div", { className: "eadnet-row" }, this.state, this.where, this.word);
    addPanel(node, "emotion_pad", el("div", { className: "eadnet" }, this.plane, row), 190, 320);
    this.#listen();
    this.show();
  }

  /** Puts the emotions' points on the pad. */
  setEmotions(emotions) {
    this.#emotions = emotions;
    const sides = labelSides(emotions);
    for (const [i, emotion] of emotions.entries()) {
      const spot = el("button", { className: "eadnet-spot", type: "button", textContent: this.words.choice(emotion.name), tabIndex: -1 });
      Object.assign(spot.dataset, { emotion: emotion.name, side: sides[i] });
      place(spot, emotion);
      this.read.before(spot);
    }
    this.show();
  }

  /** Marks where the words were read, {valence, arousal}; null takes the mark away. */
  showRead(read) {
    this.read.hidden = !read;
    if (read) place(this.read, read);
  }

  /** Brings the pad in line with the node's widgets. */
  show() {
    const { use_pad } = this.widgets;
    const at = this.#value();
    place(this.point, at);
    const numbers = `${at.valence.toFixed(2)}, ${at.arousal.toFixed(2)}`;
    this.point.setAttribute("aria-label", `${this.words.pad}: ${numbers}`);
    this.plane.dataset.on = use_pad.value;
    this.state.textContent = this.words.pad_on;
    this.state.setAttribute("aria-pressed", use_pad.value);
    this.where.textContent = use_pad.value ? numbers : this.words.pad_off;
    this.word.hidden = !this.#emotions.length;
    if (!this.#emotions.length) return;
    const { name } = nearest(at, this.#emotions);
    this.word.textContent = `${this.words.write_word} ${this.words.choice(name)}`;
    this.word.dataset.word = name;
    for (const spot of this.plane.querySelectorAll(".eadnet-spot")) {
      spot.setAttribute("aria-current", spot.dataset.emotion === name);
    }
  }

  #axes() {
    const { unpleasant, pleasant, excited, calm } = this.words;
    return [
      [unpleasant, "left:4px;bottom:2px"],
      [pleasant, "right:4px;bottom:2px"],
      [excited, "right:50%;top:2px;margin-right:4px"],
      [calm, "right:50%;bottom:2px;margin-right:4px"],
    ].map(([text, style]) => {
      const span = el("span", { className: "eadnet-axis", textContent: text });
      span.style.cssText = style;
      return span;
    });
  }

  #listen() {
    this.plane.addEventListener("pointerdown", (e) => this.#drag(e));
    this.point.addEventListener("keydown", (e) => this.#key(e));
    for (const widget of Object.values(this.widgets)) follow(widget, "callback", () => this.show());
    onGraphChange(this.node, () => this.show());
  }

  #drag(down) {
    if (down.button !== 0) return;
    const name = down.target.dataset.emotion;
    if (name) {
      this.#set(this.#emotions.find((e) => e.name === name));
      return commit();
    }
    const move = (e) => this.#set(toPoint(this.#placeOf(e)));
    const up = () => {
      this.plane.removeEventListener("pointermove", move);
      commit();
    };
    this.plane.setPointerCapture(down.pointerId);
    this.plane.addEventListener("pointermove", move);
    this.plane.addEventListener("lostpointercapture", up, { once: true });
    move(down);
  }

  #placeOf({ clientX, clientY }) {
    const { left, top, width, height } = this.plane.getBoundingClientRect();
    return { x: (clientX - left) / width, y: (clientY - top) / height };
  }

  #key(event) {
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    event.stopPropagation(); // ComfyUI moves the node with the arrow keys
    const size = event.shiftKey ? FINE_STEP : STEP;
    this.#set(step(this.#value(), arrow[0] * size, arrow[1] * size));
    commit();
  }

  #value() {
    return { valence: this.widgets.valence.value, arousal: this.widgets.arousal.value };
  }

  #set({ valence, arousal }) {
    setValue(this.node, this.widgets.valence, valence);
    setValue(this.node, this.widgets.arousal, arousal);
    setValue(this.node, this.widgets.use_pad, true);
    this.show();
  }

  #switch() {
    setValue(this.node, this.widgets.use_pad, !this.widgets.use_pad.value);
    this.show();
    commit();
  }

  #write() {
    setValue(this.node, this.widgets.text, withWord(this.widgets.text.value, this.word.dataset.word, this.#emotions));
    commit();
  }
}

function place(element, point) {
  const { x, y } = toPlace(point);
  element.style.left = `${x * 100}%`;
  element.style.top = `${y * 100}%`;
}
