/** The valence/arousal pad of the Emotion Prompt node: the eight emotions as points, a point to drag between them. */

import { el } from "./dom.js";
import { EmotionPlane, numbers } from "./emotion_plane.js";
import { widgetOf } from "./graph_walk.js";
import { addPanel, api, commit, follow, onGraphChange, setValue } from "./host.js";
import { withWord } from "./pad_plane.js";

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
  constructor(node, widgets, words) {
    Object.assign(this, { node, widgets, words });
    this.plane = new EmotionPlane(words, { onMove: (at) => this.#set(at), onDone: commit });
    this.state = el("button", { className: "eadnet-button", type: "button", onclick: () => this.#switch() });
    this.where = el("span", { className: "eadnet-grow eadnet-ellipsis eadnet-dim" });
    this.word = el("button", { className: "eadnet-button eadnet-ellipsis", type: "button", onclick: () => this.#write() });
    const row = el("div", { className: "eadnet-row" }, this.state, this.where, this.word);
    addPanel(node, "emotion_pad", el("div", { className: "eadnet" }, this.plane.element, row), 190, 320);
    for (const widget of Object.values(widgets)) follow(widget, "callback", () => this.show());
    onGraphChange(node, () => this.show());
    this.show();
  }

  /** Puts the emotions' points on the pad. */
  setEmotions(emotions) {
    this.plane.setEmotions(emotions);
    this.show();
  }

  /** Marks where the words were read, {valence, arousal}; null takes the mark away. */
  showRead(read) {
    this.plane.showRead(read);
  }

  /** Brings the pad in line with the node's widgets. */
  show() {
    const { use_pad } = this.widgets;
    const at = { valence: this.widgets.valence.value, arousal: this.widgets.arousal.value };
    this.plane.show(at);
    this.plane.element.dataset.on = use_pad.value;
    this.state.textContent = this.words.pad_on;
    this.state.setAttribute("aria-pressed", use_pad.value);
    this.where.textContent = use_pad.value ? numbers(at) : this.words.pad_off;
    const name = this.plane.nearest;
    this.word.hidden = !name;
    if (!name) return;
    this.word.textContent = `${this.words.write_word} ${this.words.choice(name)}`;
    this.word.dataset.word = name;
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
    setValue(this.node, this.widgets.text, withWord(this.widgets.text.value, this.word.dataset.word, this.plane.emotions));
    commit();
  }
}
