/** The panel of the node EADNet_ExpressionEditor: the face of its picture, and sliders that it follows at once. */

import { ask } from "./ask.js";
import { button, el } from "./dom.js";
import { GROUPS, SLIDERS, formatPreset, parsePreset, posed } from "./expression_values.js";
import { freeValue, isLinked, isWire, widgetOf } from "./graph_walk.js";
import { History } from "./history.js";
import { addPanel, announce, app, commit, follow, grow, hide, onGraphChange, setValue, setting, show } from "./host.js";
import { Live } from "./newest.js";
import { SETTING } from "./preview.js";
import { portraitOf } from "./preview_request.js";

const WIDTH_PX = 540;
const LEAST_PX = 560;
const MOST_PX = 900;
/** Side of the picture while a slider moves, and at most when it rests. */
const DRAFT_PX = 512;
const SHARP_PX = 1024;
const SIZE_STEP_PX = 128;
const REST_MS = 250;
const KEEPS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown", " ", "Enter"];
const RESETS = ["Delete", "Backspace", "0"];

/** Puts the panel into the node, in place of the widgets of its sliders. */
export function addExpressionEditor(node, words) {
  const editor = new ExpressionEditor(node, words);
  for (const name of [...SLIDERS, "box", "accept_any_face"]) follow(widgetOf(node, name), "callback", () => editor.update());
  onGraphChange(node, () => editor.update());
  follow(node, "onExecuted", (output) => editor.takeRun(output));
  follow(node, "onConfigure", () => editor.configured());
  follow(node, "onRemoved", () => editor.close());
}

class ExpressionEditor {
  #still = null;
  #resting = null;
  #isOriginal = false;
  #isSetting = false;

  constructor(node, words) {
    Object.assign(this, { node, words });
    this.widgets = Object.fromEntries(SLIDERS.map((name) => [name, widgetOf(node, name)]));
    this.live = new Live({
      run: (request) => post(request),
      onResult: (answer, request) => this.#showAnswer(answer, request),
      onError: (error) => this.#showProblem(error.message),
    });
    this.history = new History(this.values);
    this.#build();
    addPanel(node, "expression", this.root, LEAST_PX, MOST_PX).label = words.expression;
    this.#showPlain();
    grow(node, WIDTH_PX);
    this.update();
  }

  /** What every slider says. */
  get values() {
    return Object.fromEntries(SLIDERS.map((name) => [name, this.widgets[name].value]));
  }

  /** Brings the panel in line with the node's widgets and links, and asks for the picture. */
  update() {
    if (this.#isSetting) return;
    for (const name of SLIDERS) this.#showSlider(name);
    this.undoing.disabled = !this.history.canUndo;
    this.redoing.disabled = !this.history.canRedo;
    if (this.node.graph) this.#ask();
  }

  /** A workflow was opened: its values are where undo begins. */
  configured() {
    this.history = new History(this.values);
    this.#showPlain();
    this.update();
  }

  /** Takes the picture of a run, for one that comes from no file. */
  takeRun({ eadnet_still: [still] = [] } = {}) {
    this.#still = still ?? null;
    this.update();
  }

  close() {
    this.live.cancel();
    clearTimeout(this.#resting);
  }

  // Values.

  #set(values) {
    this.#isSetting = true;
    for (const [name, value] of Object.entries(values)) {
      if (!isLinked(this.node, name)) setValue(this.node, this.widgets[name], value);
    }
    this.#isSetting = false;
    this.update();
  }

  /** One step for undo, of the panel and of the page. */
  #endStep() {
    if (this.history.push(this.values)) commit();
    this.update();
  }

  #reset(name) {
    this.#set({ [name]: 0 });
    this.#endStep();
  }

  #step(values) {
    if (!values) return;
    const before = this.values;
    this.#set(values);
    commit();
    const changed = SLIDERS.find((name) => values[name] !== before[name]);
    // On a button the page would undo with the next key; of a slider's keys it takes none.
    this.rows[changed ?? SLIDERS[0]].range.focus({ preventScroll: true });
  }

  // The picture.

  #ask(isSharp = false) {
    clearTimeout(this.#resting);
    if (setting(SETTING) === false) return this.live.cancel(), this.#showNote(this.words.asleep);
    const root = app.rootGraph ?? app.graph;
    const portrait = portraitOf(this.node, root, isWire);
    const isUnknown = isLinked(this.node, "image") && !portrait.image;
    if (isUnknown && !this.#still) return this.live.cancel(), this.#showNote(this.words.run_once);
    const { filename: image, subfolder, type } = this.#still ?? {};
    const picture = isUnknown ? { image, subfolder, type, box: freeValue(this.node, "box") || undefined } : portrait;
    const values = this.#isOriginal ? {} : posed(this.values);
    const most_px = this.#wantedPx();
    const size = isSharp ? most_px : Math.min(DRAFT_PX, most_px);
    this.live.ask({ ...picture, accept_any_face: freeValue(this.node, "accept_any_face") ?? false, values, size });
    if (size < most_px) this.#resting = setTimeout(() => this.#ask(true), REST_MS);
  }

  /** Side of the square that fills the panel's pixels. */
  #wantedPx() {
    const { width, height } = this.stage.getBoundingClientRect();
    const shown = Math.min(width, height) * (window.devicePixelRatio || 1);
    return Math.min(Math.max(Math.ceil(shown / SIZE_STEP_PX), 2) * SIZE_STEP_PX, SHARP_PX);
  }

  #showAnswer({ picture, read }, request) {
    const { canvas, words } = this;
    this.note.hidden = true;
    canvas.hidden = false;
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.getContext("2d").drawImage(picture, 0, 0);
    picture.close();
    canvas.dataset.values = JSON.stringify(request.values);
    const said = read.intensity ? `${words.choice(read.label)} ${read.intensity.toFixed(2)}` : words.choice("neutral");
    this.line.classList.remove("eadnet-bad");
    const sample = request.image ? [] : [words.sample];
    this.line.textContent = [said, ...sample, `${Math.round(read.seconds * 1000)} ms`].join(" · ");
    canvas.setAttribute("aria-label", `${words.expression}: ${said}`);
  }

  #showProblem(message) {
    this.line.textContent = this.line.title = message;
    this.line.classList.add("eadnet-bad");
    if (this.canvas.hidden) this.#showNote(message);
  }

  #showNote(text) {
    this.canvas.hidden = true;
    this.note.hidden = false;
    this.note.textContent = text;
  }

  #compare(isOriginal) {
    this.#isOriginal = isOriginal;
    this.original.setAttribute("aria-pressed", isOriginal);
    this.#ask();
  }

  // Presets.

  #save() {
    const file = new Blob([formatPreset(this.values)], { type: "application/json" });
    const link = el("a", { href: URL.createObjectURL(file), download: "expression.json" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  async #load([file]) {
    if (!file) return;
    const limits = Object.fromEntries(SLIDERS.map((name) => [name, limitsOf(this.widgets[name])]));
    try {
      const values = parsePreset(await file.text(), limits);
      this.#set(values);
      this.#endStep();
    } catch (error) {
      const reason = this.words[error.message] ?? error.message;
      this.#showProblem([`${file.name}: ${reason}`, error.said].filter(Boolean).join(" "));
    }
    this.picker.value = "";
  }

  // The page.

  #build() {
    const { words } = this;
    this.canvas = el("canvas", { role: "img", hidden: true });
    this.note = el("div", { className: "eadnet-note", textContent: words.no_face_yet });
    this.stage = el("div", { className: "eadnet-stage" }, this.canvas, this.note);
    this.line = el("span", { className: "eadnet-grow eadnet-ellipsis", role: "status" });
    this.undoing = button("↶", words.undo, () => this.#step(this.history.undo()));
    this.redoing = button("↷", words.redo, () => this.#step(this.history.redo()));
    this.original = button("◐", words.original, () => this.#compare(!this.#isOriginal));
    this.original.setAttribute("aria-pressed", false);
    this.picker = el("input", { type: "file", accept: ".json,application/json", hidden: true });
    this.picker.onchange = () => this.#load(this.picker.files);
    const saving = button("↓", words.save_preset, () => this.#save());
    const loading = button("↑", words.load_preset, () => this.picker.click());
    const resetting = button("⟲", words.reset_all, () => this.#resetAll());
    this.plain = button("≡", words.plain, () => this.#togglePlain());
    const { line, undoing, redoing, original, picker, plain } = this;
    const bar = el("div", { className: "eadnet-row" }, line, undoing, redoing, original, saving, loading, resetting, plain, picker);
    this.rows = {};
    const groups = Object.entries(GROUPS).map(([group, names]) => this.#group(group, names));
    this.sliders = el("div", { className: "eadnet-sliders" }, el("div", { className: "eadnet-columns" }, ...groups));
    this.root = el("div", { className: "eadnet", role: "group", "aria-label": words.expression }, this.stage, bar, this.sliders);
    this.root.addEventListener("keydown", (event) => this.#key(event));
  }

  #group(group, names) {
    const title = titlesOf(this.words)[group];
    const rows = names.map((name) => (this.rows[name] = this.#row(name)).root);
    return el("div", { role: "group", "aria-label": title }, el("div", { className: "eadnet-dim", textContent: title }), ...rows);
  }

  #row(name) {
    const widget = this.widgets[name];
    const { min, max } = limitsOf(widget);
    const step = max > 2 ? 0.5 : 0.01;
    const said = nameOf(widget, this.words);
    const title = widget.tooltip ?? "";
    const range = el("input", { type: "range", min, max, step, title, "aria-label": said, "data-slider": name });
    range.oninput = () => this.#set({ [name]: Number(range.value) });
    range.onchange = () => this.#endStep();
    range.ondblclick = () => this.#reset(name);
    const value = el("output", { className: "eadnet-value" });
    const reset = button("×", `${this.words.reset}: ${said}`, () => (this.#reset(name), range.focus({ preventScroll: true })));
    const label = el("span", { className: "eadnet-ellipsis eadnet-slider-name", textContent: said, title });
    return { root: el("div", { className: "eadnet-row eadnet-slider" }, label, range, value, reset), range, value, reset };
  }

  #showSlider(name) {
    const { range, value, reset } = this.rows[name];
    const given = this.widgets[name].value;
    const isFixed = isLinked(this.node, name);
    if (Number(range.value) !== given) range.value = given;
    value.textContent = Number(range.max) > 2 ? `${given}°` : Number(given).toFixed(2);
    range.disabled = isFixed;
    reset.disabled = isFixed || !given;
    range.title = isFixed ? this.words.slider_linked : (this.widgets[name].tooltip ?? "");
  }

  #resetAll() {
    this.#set(Object.fromEntries(SLIDERS.map((name) => [name, 0])));
    this.#endStep();
    this.rows[SLIDERS[0]].range.focus({ preventScroll: true }); // so that undo is the panel's
  }

  #key(event) {
    const key = event.key.toLowerCase();
    const isUndo = (event.ctrlKey || event.metaKey) && key === "z";
    const isRedo = (isUndo && event.shiftKey) || ((event.ctrlKey || event.metaKey) && key === "y");
    const name = event.target.dataset.slider;
    // With the focus elsewhere than on a slider the page undoes, whose steps are the same.
    if ((isUndo || isRedo) && name) this.#step(isRedo ? this.history.redo() : this.history.undo());
    else if (name && RESETS.includes(event.key) && !event.ctrlKey && !event.metaKey) this.#reset(name);
    else if (KEEPS.includes(event.key)) return event.stopPropagation(); // ComfyUI moves the node with the arrow keys
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #togglePlain() {
    this.node.properties.eadnet_plain = !this.node.properties.eadnet_plain;
    this.#showPlain();
    announce(this.node);
    grow(this.node, WIDTH_PX);
    commit();
  }

  /** Shows the sliders in the panel, or as the node's own widgets. */
  #showPlain() {
    const isPlain = Boolean(this.node.properties.eadnet_plain);
    for (const widget of Object.values(this.widgets)) (isPlain ? show : hide)(widget);
    this.sliders.hidden = isPlain;
    this.plain.setAttribute("aria-pressed", isPlain);
  }
}

/** What the groups of sliders are called. */
function titlesOf(words) {
  return {
    feelings: words.group_feelings,
    brows: words.group_brows,
    eyes: words.group_eyes,
    cheeks: words.group_cheeks,
    mouth: words.group_mouth,
    head: words.group_head,
  };
}

function limitsOf({ options: { min, max } }) {
  return { min, max };
}

/** What a slider is called. */
function nameOf(widget, words) {
  const own = widget.label && widget.label !== widget.name ? widget.label : widget.name.replaceAll("_", " ");
  return GROUPS.feelings.includes(widget.name) ? words.choice(widget.name) : own;
}

/** The server's answer: the picture, and how it reads. */
async function post(request) {
  const response = await ask("/eadnet/expression", request);
  const read = JSON.parse(response.headers.get("EADNet-Read"));
  return { picture: await createImageBitmap(await response.blob()), read };
}
