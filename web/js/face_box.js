/** The picture of a node that looks for a face: the faces that are found in it, and the box that is drawn by hand. */

import { ask } from "./ask.js";
import { drawn, fitted, formatBox, framed, meant, moved, parseBox, placed, resized } from "./box_plane.js";
import { button, el } from "./dom.js";
import { fileOf, freeValue, isLinked, isWire, sourceOf, widgetOf } from "./graph_walk.js";
import { addPanel, app, commit, follow, grow, onGraphChange, setValue, setting } from "./host.js";
import { Newest } from "./newest.js";
import { SETTING } from "./preview.js";

const WIDTH_PX = 320;
const LEAST_HIGH_PX = 210;
const MOST_HIGH_PX = 900;
const DELAY_MS = 150;
/** Core's loaders, and the widget that names their file. */
const LOADERS = { LoadImage: "image", LoadVideo: "file" };
/** Of the picture's longer side: what an arrow key moves by. */
const NUDGE = 0.01;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const CLEARS = ["Delete", "Backspace"];
/** A press that moves less draws nothing. */
const CLICK_PX = 4;

/** Puts the panel into a node with a widget `box`; `inputs` are those that a picture or video may come in by. */
export function addFaceBox(node, words, inputs) {
  const panel = new FaceBox(node, words, inputs);
  const update = () => panel.update();
  for (const name of ["box", "face_threshold", "accept_any_face"]) {
    const widget = widgetOf(node, name);
    if (widget) follow(widget, "callback", update);
  }
  onGraphChange(node, update);
  follow(node, "onExecuted", (output) => panel.takeRun(output));
  follow(node, "onRemoved", () => panel.close());
}

class FaceBox {
  #still = null;
  #size = null;
  #frame = null;
  #faces = [];
  /** The box while it is dragged, or null. */
  #held = null;
  #isDragging = false;

  constructor(node, words, inputs) {
    Object.assign(this, { node, words, inputs, widget: widgetOf(node, "box") });
    this.newest = new Newest({
      delay_ms: DELAY_MS,
      run: (request, signal) => post(request, signal),
      onStart: () => (this.stage.dataset.busy = true),
      onResult: (answer) => this.#showAnswer(answer),
      onError: (error) => this.#showNote(error.message),
    });
    this.#build();
    addPanel(node, "face_box", this.root, LEAST_HIGH_PX, MOST_HIGH_PX).label = words.box_panel;
    grow(node, WIDTH_PX);
    this.observer = new ResizeObserver(() => this.#fit());
    this.observer.observe(this.stage);
  }

  /** Brings the panel in line with the node's widgets and links, and asks for the picture and its faces. */
  update() {
    if (this.#isDragging) return;
    this.#held = null;
    this.#draw();
    if (setting(SETTING) === false) return this.newest.cancel(), this.#showNote(this.words.asleep);
    const picture = this.#picture();
    if (!picture) return this.newest.cancel(), this.#showNote(this.#isFed ? this.words.run_once : this.words.box_no_picture);
    const threshold = freeValue(this.node, "face_threshold") ?? 0.5;
    this.newest.ask({ ...picture, face_threshold: threshold, accept_any_face: freeValue(this.node, "accept_any_face") ?? false });
  }

  /** Takes the picture of a run, for one that comes from no file. */
  takeRun({ eadnet_still: [still] = [] } = {}) {
    this.#still = still ?? null;
    this.update();
  }

  close() {
    this.newest.cancel();
    this.observer.disconnect();
  }

  // What is shown.

  get #isFed() {
    return this.inputs.some((name) => isLinked(this.node, name));
  }

  /** {image, subfolder, type} of the picture, or of the video whose first frame it is; null where it is not known. */
  #picture() {
    const root = app.rootGraph ?? app.graph;
    for (const name of this.inputs) {
      const loader = sourceOf(this.node, name, Object.keys(LOADERS), root, (n) => isWire(n) || n.type === "GetVideoComponents");
      const file = loader && fileOf(freeValue(loader, LOADERS[loader.type]));
      if (file) return { image: file.filename, subfolder: file.subfolder, type: file.type, is_video: loader.type === "LoadVideo" };
    }
    if (!this.#still || !this.#isFed) return null;
    const { filename: image, subfolder, type } = this.#still;
    return { image, subfolder, type };
  }

  /** Whether the box cannot be changed here. */
  get #isFixed() {
    return isLinked(this.node, "box");
  }

  get #box() {
    return this.#held ?? parseBox(freeValue(this.node, "box"));
  }

  #showAnswer({ picture, about }) {
    const { canvas } = this;
    delete this.stage.dataset.busy;
    [this.#size, this.#frame] = [about.size, about.frame];
    this.#faces = about.faces.map(([x0, y0, x1, y1]) => [x0, y0, x1, y1]);
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.getContext("2d").drawImage(picture, 0, 0);
    picture.close();
    this.note.hidden = true;
    this.sheet.hidden = false;
    this.#fit();
    this.#draw();
  }

  #showNote(text) {
    delete this.stage.dataset.busy;
    this.#size = null;
    this.#faces = [];
    this.sheet.hidden = true;
    this.note.hidden = false;
    this.note.textContent = this.note.title = text;
    this.#draw();
  }

  #fit() {
    if (!this.#size) return;
    const { clientWidth, clientHeight } = this.stage;
    const [width, height] = fitted(this.#size, clientWidth, clientHeight);
    Object.assign(this.sheet.style, { width: `${width}px`, height: `${height}px` });
  }

  #draw() {
    const box = this.#size && this.#box;
    const taken = box ? meant(box, this.#faces) : 0;
    this.#drawFound(taken);
    this.box.hidden = !box;
    const seen = box ?? (this.#size && !this.#byOthers && this.#faces[0]);
    this.seen.hidden = !seen;
    if (seen) Object.assign(this.seen.style, placed(framed(seen, this.#frame), this.#size));
    if (box) {
      Object.assign(this.box.style, placed(box, this.#size));
      const said = formatBox(box);
      this.box.setAttribute("aria-label", `${this.words.box_drawn} ${said}`);
      this.box.dataset.box = said;
    }
    for (const part of [this.box, ...this.handles]) part.disabled = this.#isFixed;
    this.clearing.disabled = !freeValue(this.node, "box") || this.#isFixed;
    this.line.textContent = this.line.title = this.#said(box);
  }

  /** Whether another node says where the face is. */
  get #byOthers() {
    return isLinked(this.node, "bboxes");
  }

  #said(box) {
    const { words } = this;
    if (this.#isFixed) return words.box_linked;
    if (!this.#size) return "";
    if (box) return `${words.box_drawn} ${formatBox(box)}`;
    if (freeValue(this.node, "box")?.trim()) return words.box_wrong;
    if (this.#byOthers) return words.box_by_others;
    const n = this.#faces.length;
    return n === 0 ? words.box_none : n === 1 ? words.box_one : words.box_some.replace("#", n);
  }

  #drawFound(taken) {
    const marks = [...this.found.children];
    for (const extra of marks.splice(this.#faces.length)) extra.remove();
    for (const [i, face] of this.#faces.entries()) {
      const mark = marks[i] ?? el("button", { className: "eadnet-found", type: "button", onclick: () => this.#take(i) });
      if (!mark.isConnected) this.found.append(mark);
      Object.assign(mark.style, placed(face, this.#size));
      mark.title = `${this.words.box_face} ${i + 1}`;
      mark.disabled = this.#isFixed;
      mark.setAttribute("aria-pressed", i === taken && !this.#byOthers);
    }
  }

  // Commands.

  #set(box) {
    setValue(this.node, this.widget, box ? formatBox(box) : "");
    commit();
    this.update();
  }

  #take(index) {
    this.#set(this.#faces[index]);
    this.box.focus({ preventScroll: true });
  }

  #clear() {
    this.#set(null);
    (this.found.firstChild ?? this.sheet).focus({ preventScroll: true });
  }

  /** Begins with a box in the middle, for those who draw none. */
  #place() {
    const [width, height] = this.#size;
    const side = Math.min(width, height) / 3;
    this.#set(this.#faces[0] ?? [width / 2 - side / 2, height / 2 - side / 2, width / 2 + side / 2, height / 2 + side / 2]);
    this.box.focus({ preventScroll: true });
  }

  // Pointer and keyboard.

  /** Where an event is in the picture's pixels. */
  #at({ clientX, clientY }) {
    const { left, top, width, height } = this.sheet.getBoundingClientRect();
    return [((clientX - left) / width) * this.#size[0], ((clientY - top) / height) * this.#size[1]];
  }

  #press(down) {
    if (down.button !== 0 || this.#isFixed || !this.#size) return;
    const onFace = down.target.closest(".eadnet-found");
    const from = this.#at(down);
    const before = this.#box;
    const { corner } = down.target.dataset;
    const isBox = !corner && down.target.closest(".eadnet-box");
    const change = (to) => {
      const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
      if (corner) return resized(before, corner, dx, dy, this.#size);
      return isBox ? moved(before, dx, dy, this.#size) : drawn(from, to, this.#size);
    };
    let isFar = false;
    const move = (e) => {
      isFar ||= Math.hypot(e.clientX - down.clientX, e.clientY - down.clientY) >= CLICK_PX;
      if (!isFar) return;
      this.#isDragging = true;
      this.#held = change(this.#at(e)) ?? before;
      this.#draw();
    };
    const end = (box) => {
      for (const [name, listener] of listeners) this.sheet.removeEventListener(name, listener);
      const wasDragging = this.#isDragging;
      this.#isDragging = false;
      this.#held = null;
      if (wasDragging && box) this.#set(box);
      else this.#draw();
      if (!isFar && onFace) return; // its own click
      if (!this.box.hidden && !corner) this.box.focus({ preventScroll: true });
    };
    const listeners = [
      ["pointermove", move],
      ["pointerup", () => end(this.#held)],
      ["pointercancel", () => end(null)],
      ["keydown", (e) => e.key === "Escape" && (e.preventDefault(), e.stopPropagation(), end(null))],
    ];
    if (!onFace) this.sheet.setPointerCapture(down.pointerId);
    for (const [name, listener] of listeners) this.sheet.addEventListener(name, listener);
    down.stopPropagation();
  }

  #key(event) {
    const { key, shiftKey, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || this.#isFixed) return;
    const box = this.#box;
    const by = ARROWS[key];
    const onBox = target.closest(".eadnet-box");
    if (box && onBox && by) this.#nudge(box, target.dataset.corner, by, shiftKey);
    else if (CLEARS.includes(key) && !this.clearing.disabled) this.#clear();
    else if (key.toLowerCase() === "n" && this.#size) this.#place();
    else if (!by) return;
    event.preventDefault();
    event.stopPropagation(); // ComfyUI would move or delete the node
  }

  #nudge(box, corner, [dx, dy], isFine) {
    const step = isFine ? 1 : Math.max(1, Math.round(NUDGE * Math.max(...this.#size)));
    const change = corner ? resized(box, corner, dx * step, dy * step, this.#size) : moved(box, dx * step, dy * step, this.#size);
    this.#set(change);
  }

  // The page.

  #build() {
    const { words } = this;
    this.canvas = el("canvas", { role: "img", "aria-label": words.box_panel });
    this.seen = el("div", { className: "eadnet-seen", hidden: true, title: words.box_seen });
    this.found = el("div", { className: "eadnet-founds" });
    const corners = { nw: words.box_nw, ne: words.box_ne, sw: words.box_sw, se: words.box_se };
    this.handles = Object.entries(corners).map(([corner, title]) =>
      el("button", { className: "eadnet-corner", type: "button", "data-corner": corner, "aria-label": title, title }),
    );
    this.box = el("div", { className: "eadnet-box", role: "group", tabIndex: 0, title: words.box_hint, hidden: true }, ...this.handles);
    this.sheet = el("div", { className: "eadnet-sheet", tabIndex: -1, hidden: true }, this.canvas, this.seen, this.found, this.box);
    this.note = el("div", { className: "eadnet-note", textContent: words.box_no_picture });
    this.stage = el("div", { className: "eadnet-stage eadnet-picture" }, this.sheet, this.note);
    this.line = el("span", { className: "eadnet-grow eadnet-ellipsis eadnet-dim", role: "status" });
    this.placing = button("+▢", words.box_place, () => this.#size && this.#place());
    this.clearing = button("×", words.box_clear, () => this.#clear());
    const row = el("div", { className: "eadnet-row" }, this.line, this.placing, this.clearing);
    this.root = el("div", { className: "eadnet", role: "group", "aria-label": words.box_panel }, this.stage, row);
    this.sheet.addEventListener("pointerdown", (event) => this.#press(event));
    this.root.addEventListener("keydown", (event) => this.#key(event));
  }
}

/** The server's answer: the picture, its size and the faces in it. */
async function post(request, signal) {
  const response = await ask("/eadnet/faces", request, signal);
  const about = JSON.parse(response.headers.get("EADNet-Read"));
  return { picture: await createImageBitmap(await response.blob()), about };
}
