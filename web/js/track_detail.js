/** The rows below the lane of a track editor: time, words, strength and fade of the selected keyframe. */

import { el } from "./dom.js";
import { colorOf, levelOf } from "./feelings.js";
import { EASES } from "./transitions.js";

/** `editor` has the state (track, selected, words) and the commands move, edit and endStep. */
export class Detail {
  constructor(editor) {
    this.editor = editor;
    const { words } = editor;
    const end = () => editor.endStep();
    const number = { type: "number", min: 0, step: 0.01, className: "eadnet-field eadnet-time" };
    this.time = el("input", { ...number, title: words.keyframe, "aria-label": words.time, onchange: () => this.#retime() });
    this.text = el("input", { type: "text", className: "eadnet-field eadnet-grow", placeholder: words.prompt, onchange: end });
    this.text.setAttribute("aria-label", words.prompt);
    this.text.oninput = () => this.#change({ text: this.text.value });
    this.isSet = el("input", { type: "checkbox", title: words.intensity, onchange: () => this.#setLevel() });
    this.level = el("input", { type: "range", className: "eadnet-grow", min: 0, max: 1, step: 0.01, onchange: end });
    this.level.title = words.intensity;
    this.level.oninput = () => this.#change({ intensity: Number(this.level.value) });
    this.said = el("output");
    this.chip = el("span", { className: "eadnet-chip", "aria-hidden": "true" });
    this.reading = el("span", { className: "eadnet-ellipsis eadnet-grow" });
    this.fade = el("input", { ...number, title: words.fade, "aria-label": words.fade, onchange: () => this.#refade() });
    this.ease = el("select", { className: "eadnet-field", title: words.ease, "aria-label": words.ease });
    this.ease.append(...EASES.map((value) => el("option", { value, textContent: easeNames(words)[value] })));
    this.ease.onchange = () => (this.#change({ ease: this.ease.value }), end());
    const { time, text, isSet, level, said, chip, reading, fade, ease } = this;
    const row = (...children) => el("div", { className: "eadnet-row" }, ...children);
    const box = el("label", { className: "eadnet-row" }, isSet, words.intensity);
    const fading = el("label", { className: "eadnet-row" }, words.fade_short, fade);
    this.root = el("div", {}, row(time, text), row(box, level, said), row(chip, reading, fading, ease));
  }

  focus() {
    this.text.focus();
    this.text.select();
  }

  /** Shows a keyframe as it was read; undefined for none. */
  show(keyframe, reading, cross_fade_s) {
    this.root.style.visibility = keyframe ? "visible" : "hidden";
    if (!keyframe) return;
    const { words } = this.editor;
    const active = document.activeElement; // what is being typed stays as it was typed
    if (active !== this.time) this.time.value = keyframe.time.toFixed(2);
    if (this.text.value !== keyframe.text) this.text.value = keyframe.text;
    this.isSet.checked = keyframe.intensity !== null;
    this.level.disabled = keyframe.intensity === null;
    this.level.value = levelOf(keyframe, reading);
    this.said.textContent = keyframe.intensity === null ? words.as_words : keyframe.intensity.toFixed(2);
    if (active !== this.fade) this.fade.value = keyframe.fade_s ?? "";
    this.fade.placeholder = Number.isFinite(cross_fade_s) ? cross_fade_s.toFixed(2) : "";
    this.ease.value = keyframe.ease;
    this.chip.style.background = colorOf(reading);
    this.reading.textContent = this.reading.title = said(reading, words);
  }

  #change(change) {
    this.editor.edit(this.editor.selected, change);
  }

  #setLevel() {
    const { editor } = this;
    this.#change({ intensity: this.isSet.checked ? rounded(editor.levelAt(editor.selected)) : null });
    editor.endStep();
  }

  #retime() {
    const time = Number(this.time.value);
    if (this.time.value !== "" && time >= 0) this.editor.move(this.editor.selected, time);
    this.editor.draw();
    this.editor.endStep();
  }

  #refade() {
    const fade_s = this.fade.value === "" ? null : Number(this.fade.value);
    if (fade_s === null || fade_s >= 0) this.#change({ fade_s });
    this.editor.draw();
    this.editor.endStep();
  }
}

function easeNames(words) {
  return { linear: words.ease_linear, smooth: words.ease_smooth, in: words.ease_in, out: words.ease_out };
}

/** What is said of a reading: its feelings and their strength, or that the words were not understood. */
function said(reading, words) {
  if (!reading) return "";
  if (reading.note) return reading.note;
  const names = Object.entries(reading.shares).sort(([, a], [, b]) => b - a);
  return `${names.map(([name]) => words.choice(name)).join(" + ")} ${reading.intensity.toFixed(2)}`;
}

/** To the hundredth that the fields show. */
export function rounded(level) {
  return Math.round(level * 100) / 100;
}
