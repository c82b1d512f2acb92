/** The valence/arousal plane as an element: the emotions' places, and a point that pointer and keys move. */

import { el } from "./dom.js";
import { labelSides, nearest, step, toPlace, toPoint } from "./pad_plane.js";

const STEP = 0.05;
const FINE_STEP = 0.01;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export class EmotionPlane {
  #emotions = [];
  #at = { valence: 0, arousal: 0 };

  /**
   * words   {pad, unpleasant, pleasant, excited, calm, choice}; `choice` says an emotion's name
   * onMove  hears {valence, arousal} whenever the user moves the point
   * onDone  is called at the end of such a movement
   */
  constructor(words, { onMove, onDone = () => {} }) {
    Object.assign(this, { words, onMove, onDone });
    this.point = el("button", { className: "eadnet-point", type: "button", title: words.pad, role: "slider", "aria-label": words.pad });
    this.point.setAttribute("aria-valuemin", -1);
    this.point.setAttribute("aria-valuemax", 1);
    this.read = el("div", { className: "eadnet-read", hidden: true });
    this.element = el("div", { className: "eadnet-pad", role: "group", "aria-label": words.pad }, ...axes(words), this.read, this.point);
    this.element.addEventListener("pointerdown", (e) => this.#drag(e));
    this.point.addEventListener("keydown", (e) => this.#key(e));
    this.show(this.#at);
  }

  /** Name of the emotion that is nearest to the point; null before they are known. */
  get nearest() {
    return this.#emotions.length ? nearest(this.#at, this.#emotions).name : null;
  }

  get emotions() {
    return this.#emotions;
  }

  /** Puts the emotions on the plane, [{name, valence, arousal}]. */
  setEmotions(emotions) {
    this.#emotions = emotions;
    const sides = labelSides(emotions);
    for (const [i, emotion] of emotions.entries()) {
      const spot = el("button", { className: "eadnet-spot", type: "button", textContent: this.words.choice(emotion.name), tabIndex: -1 });
      Object.assign(spot.dataset, { emotion: emotion.name, side: sides[i] });
      place(spot, emotion);
      this.read.before(spot);
    }
    this.show(this.#at);
  }

  /** Puts the point to {valence, arousal}, which is called by the nearest emotion's name, or by another that is given. */
  show(at, name = null) {
    this.#at = at;
    name ??= this.nearest;
    place(this.point, at);
    this.point.setAttribute("aria-valuenow", at.valence.toFixed(2));
    this.point.setAttribute("aria-valuetext", [numbers(at), ...(name ? [this.words.choice(name)] : [])].join(", "));
    for (const spot of this.element.querySelectorAll(".eadnet-spot")) {
      spot.setAttribute("aria-current", spot.dataset.emotion === name);
    }
  }

  /** Marks where words were read, {valence, arousal}; null takes the mark away. */
  showRead(read) {
    this.read.hidden = !read;
    if (read) place(this.read, read);
  }

  #drag(down) {
    if (down.button !== 0) return;
    const name = down.target.dataset.emotion;
    if (name) {
      this.#move(this.#emotions.find((e) => e.name === name));
      return this.onDone();
    }
    const move = (e) => this.#move(toPoint(this.#placeOf(e)));
    const up = () => {
      this.element.removeEventListener("pointermove", move);
      this.onDone();
    };
    this.element.setPointerCapture(down.pointerId);
    this.element.addEventListener("pointermove", move);
    this.element.addEventListener("lostpointercapture", up, { once: true });
    move(down);
  }

  #placeOf({ clientX, clientY }) {
    const { left, top, width, height } = this.element.getBoundingClientRect();
    return { x: (clientX - left) / width, y: (clientY - top) / height };
  }

  #key(event) {
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    event.stopPropagation(); // ComfyUI moves the node with the arrow keys
    const size = event.shiftKey ? FINE_STEP : STEP;
    this.#move(step(this.#at, arrow[0] * size, arrow[1] * size));
    this.onDone();
  }

  #move({ valence, arousal }) {
    this.show({ valence, arousal });
    this.onMove({ valence, arousal });
  }
}

/** A point in figures. */
export function numbers({ valence, arousal }) {
  return `${valence.toFixed(2)}, ${arousal.toFixed(2)}`;
}

function axes({ unpleasant, pleasant, excited, calm }) {
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

function place(element, point) {
  const { x, y } = toPlace(point);
  element.style.left = `${x * 100}%`;
  element.style.top = `${y * 100}%`;
}
