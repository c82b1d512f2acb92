/** The lanes of a motion below an emotion track: what head, gaze and lids do, with points and blinks to be moved. */

import { button, el, svg } from "./dom.js";
import { isLinked, widgetOf } from "./graph_walk.js";
import { follow, setValue } from "./host.js";
import {
  BLINKS,
  LANES,
  MOST_SMOOTH_S,
  addBlink,
  addPoint,
  blinksOf,
  formatEdits,
  isSet,
  moveBlink,
  movePoint,
  ownAt,
  parseEdits,
  pointsOf,
  removePoint,
  resetLane,
  setSmooth,
  toggleBlink,
  turnedAt,
  valueAt,
} from "./motion_edits.js";
import { clock, toTime, toX } from "./timeline.js";

const NAMES = [...Object.keys(LANES), BLINKS];
const LANE_PX = 34;
/** What the lanes and the row below them add to the panel. */
export const LANES_PX = NAMES.length * LANE_PX + 30;
const EDGE_PX = 4;
/** Pixels from one point of a drawn line to the next. */
const DRAWN_PX = 2;
const NUDGE_S = 0.1;
const FINE_S = 0.01;
/** Of a lane's range: what an arrow key moves a point by. */
const NUDGE = 0.05;

export class MotionLanes {
  motion = null;
  edits = {};
  lane = NAMES[0];
  /** Of the selected lane's points, or of all blinks; -1 for none. */
  index = -1;
  #written = null;
  #problem = "";

  /** `editor` is the track's: its node, words, scale, playhead and player. */
  constructor(editor) {
    Object.assign(this, { editor, node: editor.node, words: editor.words, widget: widgetOf(editor.node, "motion_edits") });
    if (this.widget) follow(this.widget, "callback", () => editor.update());
    this.#build();
  }

  /** Whether they are shown: where one wants them, else where there is something to see. */
  get isOn() {
    if (!this.widget) return false;
    return this.node.properties.eadnet_motion ?? (isLinked(this.node, "motion") || Boolean(this.widget.value));
  }

  /** Whether nothing can be changed here. */
  get isLocked() {
    return isLinked(this.node, "motion_edits") || Boolean(this.#problem);
  }

  /** Reads what the widget says, where that was not written here. */
  update() {
    if (!this.widget || this.widget.value === this.#written) return;
    this.#written = this.widget.value;
    this.#problem = "";
    try {
      this.edits = parseEdits(this.widget.value);
    } catch (error) {
      this.edits = {};
      this.#problem = error.message;
    }
    this.index = Math.min(this.index, this.#count(this.lane) - 1);
  }

  /** Takes the motion of a run, as it came to the node; undefined where there is none. */
  takeRun(motion) {
    this.motion = isLinked(this.node, "motion") ? (motion ?? null) : null;
  }

  /** What the face does at a time, for the picture beside the lanes; null where the lanes say nothing. */
  turnedAt(time) {
    return this.isOn ? turnedAt(this.motion, this.edits, time) : null;
  }

  /** Draws all lanes as far as the frame shows them. */
  draw(scale) {
    this.root.hidden = this.row.hidden = !this.isOn;
    if (!this.isOn) return;
    this.root.style.width = `${scale.width_px}px`;
    for (const name of NAMES) this.#drawLane(name, scale);
    this.#showRow();
    this.movePlayhead(scale);
  }

  movePlayhead(scale) {
    if (this.isOn) this.playhead.style.left = `${toX(this.editor.playhead_s, scale)}px`;
  }

  // What is drawn.

  #drawLane(name, scale) {
    const { root, name: title } = this.lanes[name];
    root.setAttribute("aria-current", name === this.lane);
    title.textContent = this.#nameOf(name);
    root.querySelector("svg")?.remove();
    root.prepend(name === BLINKS ? svg("svg") : this.#curves(name, scale));
    this.#drawHandles(name, scale);
  }

  #curves(name, scale) {
    const left = Math.max(scale.left_px, 0);
    const width = Math.max(Math.min(scale.left_px + scale.view_px, scale.width_px) - left, 1);
    const picture = svg("svg", { viewBox: `${left} 0 ${width} ${LANE_PX}`, "aria-hidden": "true", preserveAspectRatio: "none" });
    picture.style.cssText = `left:${left}px;width:${width}px`;
    const smooth_s = this.edits[name]?.smooth_s ?? 0;
    const xs = Array.from({ length: Math.ceil(width / DRAWN_PX) + 1 }, (_, i) => left + Math.min(i * DRAWN_PX, width));
    const drawn = (value) => xs.map((x) => `${x},${toY(name, value(toTime(x, scale)))}`).join(" ");
    const rest = svg("line", { class: "eadnet-tick", x1: left, x2: left + width, y1: LANE_PX / 2, y2: LANE_PX / 2 });
    const isChanged = smooth_s > 0 || pointsOf(this.edits, name).length > 0;
    const own = isChanged ? [svg("polyline", { class: "eadnet-own", points: drawn((t) => ownAt(this.motion, name, t)) })] : [];
    const points = drawn((t) => valueAt(this.motion, this.edits, name, t));
    const made = svg("polyline", { class: "eadnet-made", "data-set": isSet(this.motion, this.edits, name), points });
    picture.append(rest, ...own, made);
    return picture;
  }

  #drawHandles(name, scale) {
    const { root } = this.lanes[name];
    const places = this.#places(name);
    const found = [...root.querySelectorAll(".eadnet-dot")];
    for (const extra of found.splice(places.length)) extra.remove();
    for (const [i, { time, value, blink }] of places.entries()) {
      const dot = found[i] ?? el("button", { className: "eadnet-dot", type: "button", role: "slider" });
      if (!dot.isConnected) root.append(dot);
      dot.dataset.point = i;
      dot.dataset.kind = blink ? (blink.isRemoved ? "removed" : blink.isOwn ? "own" : "added") : "point";
      Object.assign(dot.style, { left: `${toX(time, scale)}px`, top: `${blink ? LANE_PX / 2 : toY(name, value)}px` });
      const said = `${clock(time)}${blink ? "" : `, ${shown(name, value)}`}`;
      const removed = blink?.isRemoved ? ` (${this.words.motion_removed})` : "";
      const aria = {
        label: `${this.#nameOf(name)} ${i + 1}${removed}`,
        current: name === this.lane && i === this.index,
        disabled: this.isLocked,
        valuemin: 0,
        valuemax: scale.duration_s.toFixed(2),
        valuenow: time.toFixed(2),
        valuetext: said,
      };
      for (const [key, v] of Object.entries(aria)) dot.setAttribute(`aria-${key}`, v);
      dot.title = said;
    }
  }

  /** Where the handles of a lane stand: {time, value} of points, {time, blink} of blinks. */
  #places(name) {
    if (name === BLINKS) return blinksOf(this.motion, this.edits).map((blink) => ({ time: blink.time, blink }));
    return pointsOf(this.edits, name).map(([time]) => ({ time, value: valueAt(this.motion, this.edits, name, time) }));
  }

  #count(name) {
    return this.#places(name).length;
  }

  #nameOf(name) {
    const { lane_yaw, lane_pitch, lane_roll, lane_gaze_x, lane_gaze_y, lane_blinks } = this.words;
    return { yaw: lane_yaw, pitch: lane_pitch, roll: lane_roll, gaze_x: lane_gaze_x, gaze_y: lane_gaze_y, blinks: lane_blinks }[name];
  }

  #showRow() {
    const { lane, index, words } = this;
    const place = this.#places(lane)[index];
    const isBlinks = lane === BLINKS;
    const active = document.activeElement; // what is being typed stays as it was typed
    this.title.textContent = this.#nameOf(lane);
    for (const part of [this.time, this.value, this.smooth, this.adding]) part.disabled = this.isLocked;
    this.time.disabled ||= !place;
    this.value.disabled ||= !place || isBlinks;
    this.smooth.disabled ||= isBlinks || !this.motion?.tracks[lane];
    if (active !== this.time) this.time.value = place ? place.time.toFixed(2) : "";
    if (active !== this.value) this.value.value = place && !isBlinks ? shownNumber(lane, place.value) : "";
    if (active !== this.smooth) this.smooth.value = this.edits[lane]?.smooth_s ?? 0;
    this.removing.disabled = this.isLocked || !place;
    this.resetting.disabled = this.isLocked || !this.edits[lane];
    const waits = isLinked(this.node, "motion") && !this.motion ? words.motion_run : "";
    const text = this.#problem || (isLinked(this.node, "motion_edits") ? words.motion_linked : waits);
    this.note.textContent = this.note.title = text;
    this.note.hidden = !text;
    this.note.classList.toggle("eadnet-bad", Boolean(this.#problem));
  }

  // Commands.

  #select(name, index) {
    [this.lane, this.index] = [name, index];
    this.editor.draw();
  }

  #write(edits, index = this.index) {
    [this.edits, this.index] = [edits, index];
    this.#written = formatEdits(edits);
    setValue(this.node, this.widget, this.#written);
    this.editor.draw();
  }

  /** Adds a point, or a blink; without a value the lane stays as it is there. */
  #add(name, time, value = valueAt(this.motion, this.edits, name, time)) {
    if (this.isLocked) return;
    this.lane = name;
    this.#write(...(name === BLINKS ? addBlink(this.motion, this.edits, time) : addPoint(this.motion, this.edits, name, time, value)));
    this.editor.endStep();
    this.#handle?.focus({ preventScroll: true });
  }

  #move(time, value) {
    const place = this.#places(this.lane)[this.index];
    if (this.isLocked || !place) return;
    const inside_s = Math.min(Math.max(time, 0), this.editor.scale.duration_s);
    if (this.lane === BLINKS) this.#write(...moveBlink(this.motion, this.edits, place.blink, inside_s));
    else this.#write(...movePoint(this.motion, this.edits, this.lane, this.index, inside_s, value));
    this.#handle?.focus({ preventScroll: true });
  }

  #remove() {
    const place = this.#places(this.lane)[this.index];
    if (this.isLocked || !place) return;
    if (place.blink) this.#write(toggleBlink(this.edits, place.blink));
    else this.#write(removePoint(this.edits, this.lane, this.index), -1);
    if (this.index >= this.#count(this.lane)) this.index = -1;
    this.editor.draw();
    this.editor.endStep();
    (this.#handle ?? this.lanes[this.lane].root).focus({ preventScroll: true });
  }

  #reset() {
    this.#write(resetLane(this.edits, this.lane), -1);
    this.editor.endStep();
    this.lanes[this.lane].root.focus({ preventScroll: true });
  }

  get #handle() {
    return this.lanes[this.lane].root.querySelector(`[data-point="${this.index}"]`);
  }

  // Pointer and keyboard.

  /** {time, value} under an event on a lane, at a mark where one is near; with Alt nothing snaps. */
  #at(name, event) {
    const { root } = this.lanes[name];
    const { left, top, width, height } = root.getBoundingClientRect();
    const time = toTime(((event.clientX - left) / width) * root.offsetWidth, this.editor.scale);
    const y = ((event.clientY - top) / height) * root.offsetHeight;
    return { time: event.altKey ? time : this.editor.snapped(time), value: toValue(name, y) };
  }

  #press(name, down) {
    if (down.button !== 0) return;
    const { root } = this.lanes[name];
    const index = Number(down.target.dataset.point ?? -1);
    this.#select(name, index);
    const start = [down.clientX, down.clientY];
    let isFar = false;
    const move = (e) => {
      isFar ||= Math.hypot(e.clientX - start[0], e.clientY - start[1]) >= EDGE_PX;
      const { time, value } = this.#at(name, e);
      if (index < 0) this.editor.seek(time);
      else if (isFar) this.#move(time, value);
    };
    const end = () => {
      root.removeEventListener("pointermove", move);
      if (index >= 0 && isFar) this.editor.endDrag();
    };
    root.setPointerCapture(down.pointerId);
    if (index < 0) this.editor.seek(this.#at(name, { ...at(down), altKey: true }).time);
    else this.editor.beginDrag();
    root.addEventListener("pointermove", move);
    root.addEventListener("lostpointercapture", () => (end(), index >= 0 && !isFar && this.editor.endDrag()), { once: true });
    (this.#handle ?? root).focus({ preventScroll: true });
  }

  #key(name, event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { editor } = this;
    const fine = event.shiftKey;
    const by_s = fine ? FINE_S : NUDGE_S;
    const place = event.target.dataset.point === undefined ? null : this.#places(name)[this.index];
    const by = (LANES[name] ?? 0) * NUDGE * (fine ? 0.2 : 1);
    const step = (s, v) => (this.#move(place.time + s, (place.value ?? 0) + v), editor.endStep());
    const onPoint = { ArrowLeft: [-by_s, 0], ArrowRight: [by_s, 0], ArrowUp: [0, by], ArrowDown: [0, -by] };
    const onLane = { ArrowLeft: -by_s, ArrowRight: by_s };
    if (place && onPoint[event.key]) step(...onPoint[event.key]);
    else if (place && ["Delete", "Backspace"].includes(event.key)) this.#remove();
    else if (onLane[event.key]) editor.seek(editor.playhead_s + onLane[event.key]);
    else if (event.key === "n") this.#add(name, editor.playhead_s);
    else if (event.key === "m") editor.toggleMotion();
    else if (event.key === " ") editor.togglePlay();
    else if (!["ArrowUp", "ArrowDown", "Delete", "Backspace"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation(); // ComfyUI would move or delete the node
  }

  // The page.

  #build() {
    const { words } = this;
    this.lanes = Object.fromEntries(NAMES.map((name) => [name, this.#buildLane(name)]));
    this.playhead = el("div", { className: "eadnet-lanes-playhead", "aria-hidden": "true" });
    this.root = el("div", { className: "eadnet-lanes", hidden: true }, ...NAMES.map((name) => this.lanes[name].root), this.playhead);
    const number = { type: "number", step: 0.01, className: "eadnet-field eadnet-number" };
    this.title = el("span", { className: "eadnet-ellipsis eadnet-grow" });
    this.time = el("input", { ...number, min: 0, title: words.motion_time, "aria-label": words.motion_time, onchange: () => this.#retime() });
    this.value = el("input", { ...number, step: "any", title: words.motion_value, "aria-label": words.motion_value, onchange: () => this.#revalue() });
    this.smooth = el("input", { ...number, step: 0.05, min: 0, max: MOST_SMOOTH_S, title: words.motion_smooth, onchange: () => this.#resmooth() });
    this.adding = button("+◆", words.motion_add, () => this.#add(this.lane, this.editor.playhead_s));
    this.removing = button("×", words.motion_remove, () => this.#remove());
    this.resetting = button("⟲", words.motion_reset, () => this.#reset());
    this.note = el("div", { className: "eadnet-ellipsis eadnet-dim", role: "status", hidden: true });
    const { title, time, value, adding, removing, resetting, note } = this;
    const smooth = el("label", { className: "eadnet-row" }, words.motion_smooth_short, this.smooth);
    const row = el("div", { className: "eadnet-row" }, title, time, value, smooth, adding, removing, resetting);
    this.row = el("div", { hidden: true }, note, row);
  }

  #buildLane(name) {
    const title = el("span", { className: "eadnet-lane-name" });
    const root = el("div", { className: "eadnet-motion-lane", tabIndex: 0, role: "group", "data-lane": name, "aria-label": this.#nameOf(name) }, title);
    root.addEventListener("pointerdown", (event) => this.#press(name, event));
    root.addEventListener("dblclick", (event) => {
      if (this.index >= 0 && this.lane === name) return; // on a point
      const { time, value } = this.#at(name, event);
      this.#add(name, time, value);
    });
    root.addEventListener("focusin", ({ target }) => {
      const index = Number(target.dataset.point ?? -1);
      if (name !== this.lane || index !== this.index) this.#select(name, index);
    });
    root.addEventListener("keydown", (event) => this.#key(name, event));
    return { root, name: title };
  }

  #retime() {
    const place = this.#places(this.lane)[this.index];
    if (place && this.time.value !== "") this.#move(Number(this.time.value), place.value);
    this.editor.endStep();
  }

  #revalue() {
    const place = this.#places(this.lane)[this.index];
    if (place && this.value.value !== "") this.#move(place.time, Number(this.value.value));
    this.editor.endStep();
  }

  #resmooth() {
    this.#write(setSmooth(this.edits, this.lane, Number(this.smooth.value) || 0));
    this.editor.endStep();
  }
}

function at({ clientX, clientY }) {
  return { clientX, clientY };
}

/** Pixels from the top of a lane for a value, and back; up is right, up, and clockwise. */
function toY(name, value) {
  const share = Math.min(Math.max(signed(name) * (value / LANES[name]), -1), 1);
  return LANE_PX / 2 - share * (LANE_PX / 2 - EDGE_PX);
}

function toValue(name, y) {
  const share = (LANE_PX / 2 - y) / (LANE_PX / 2 - EDGE_PX);
  return signed(name) * Math.min(Math.max(share, -1), 1) * (LANES[name] ?? 1);
}

/** A motion's pitch and gaze_y grow downwards; their lanes are drawn as they look. */
function signed(name) {
  return name === "pitch" || name === "gaze_y" ? -1 : 1;
}

function shownNumber(name, value) {
  return LANES[name] > 1 ? value.toFixed(1) : value.toFixed(2);
}

function shown(name, value) {
  return LANES[name] > 1 ? `${shownNumber(name, value)}°` : shownNumber(name, value);
}
