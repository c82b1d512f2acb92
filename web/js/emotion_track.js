/** The emotion track editor of the node EADNet_EmotionTrack: the voice's waveform, and on it the emotions over time. */

import { button, el } from "./dom.js";
import { levelOf } from "./feelings.js";
import { freeValue, isLinked, widgetOf } from "./graph_walk.js";
import { addPanel, app, commit, follow, grow, hide, onGraphChange, setValue, viewUrl } from "./host.js";
import { addKeyframe, editKeyframe, formatTrack, moveKeyframe, parseTrack, removeKeyframe, snap } from "./keyframes.js";
import { Player, readSound, soundFile } from "./sound.js";
import { clock, laneLength, peaks, toX } from "./timeline.js";
import { Detail } from "./track_detail.js";
import { listen } from "./track_gestures.js";
import { drawLane, movePlayhead } from "./track_lane.js";
import { Readings } from "./track_readings.js";
import { fadeOf } from "./transitions.js";

const WIDTH_PX = 480;
const LEAST_PX = 272;
const MOST_PX = 460;
/** Of the lane in its frame, so that a handle at its start or end is whole; as in the style sheet. */
const MARGIN_PX = 8;
const ZOOMS = [1, 2, 4, 8, 16];
/** Two sounds of the same length, give or take what a decoder pads. */
const SAME_LENGTH_S = 0.1;

/** Puts the editor into the node, in place of the JSON of its `keyframes`. */
export function addTrackEditor(node, words) {
  const editor = new TrackEditor(node, widgetOf(node, "keyframes"), words);
  const update = () => editor.update();
  for (const name of ["keyframes", "cross_fade"]) follow(widgetOf(node, name), "callback", update);
  onGraphChange(node, update);
  follow(node, "onExecuted", (output) => editor.takeRun(output));
  follow(node, "onRemoved", () => editor.close());
}

class TrackEditor {
  track = [];
  selected = -1;
  playhead_s = 0;
  sound = null;
  #zoom = 0;
  #written = null;
  #file = null;
  #held_s = null;
  /** JSON of the last run, which is the track where another node gives it. */
  #ran = null;

  constructor(node, widget, words) {
    Object.assign(this, { node, widget, words });
    this.readings = new Readings(() => this.draw());
    this.player = new Player({ onTime: (s) => this.#showPlayhead(s), onState: (is) => this.#showPlaying(is) });
    this.#build();
    hide(widget);
    addPanel(node, "emotion_track", this.root, LEAST_PX, MOST_PX);
    grow(node, WIDTH_PX);
    listen(this.lane, this);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.frame);
  }

  /** The lane's size: what x and y on it mean. A drag keeps the length that it began with. */
  get scale() {
    const duration_s = this.#held_s ?? laneLength(this.track, this.sound?.duration_s);
    const width_px = Math.max(this.frame.clientWidth - 2 * MARGIN_PX, 1) * ZOOMS[this.#zoom];
    return { duration_s, width_px, height_px: Math.max(this.frame.clientHeight, 1) };
  }

  /** Brings the editor in line with the node: its JSON, its links, its sound. */
  update() {
    if (this.#given !== this.#written) this.#read();
    if (document.activeElement !== this.json) this.json.value = this.#given;
    this.#showProblem();
    this.#findSound();
    this.draw();
  }

  /** Takes from the node's run the keyframes, and waveform and length: the sound that the emotions are really laid over. */
  takeRun({ eadnet_keyframes: [json] = [], eadnet_waveform: wave, eadnet_duration: [duration_s] = [] } = {}) {
    this.#ran = json ?? null;
    this.update();
    if (!wave?.length || !duration_s) return;
    const isSame = this.sound && Math.abs(this.sound.duration_s - duration_s) < SAME_LENGTH_S;
    if (!isSame) this.player.open(null); // the file is not what the node hears
    this.sound = { wave: peaks(wave, wave.length), duration_s };
    this.status.textContent = "";
    this.draw();
  }

  close() {
    this.player.open(null);
    this.readings.close();
    this.observer.disconnect();
  }

  // Commands of the gestures and buttons.

  select(index) {
    this.selected = index;
    this.draw();
  }

  add(time) {
    if (this.isLocked) return;
    [this.track, this.selected] = addKeyframe(this.track, time, this.sound?.duration_s);
    this.#write();
    this.endStep();
  }

  move(index, time) {
    if (this.isLocked) return;
    [this.track, this.selected] = moveKeyframe(this.track, index, time, this.sound?.duration_s);
    this.#write();
    this.lane.querySelector(`[data-keyframe="${this.selected}"]`)?.focus({ preventScroll: true });
  }

  edit(index, change) {
    if (this.isLocked) return;
    this.track = editKeyframe(this.track, index, change);
    this.#write();
  }

  remove() {
    if (this.selected < 0 || this.isLocked) return;
    this.track = removeKeyframe(this.track, this.selected);
    this.selected = Math.min(this.selected, this.track.length - 1);
    this.#write();
    this.endStep();
    this.lane.focus({ preventScroll: true });
  }

  seek(time) {
    const most_s = this.scale.duration_s;
    this.player.seek(Math.min(Math.max(time, 0), most_s));
    this.#showPlayhead(Math.min(Math.max(time, 0), most_s));
  }

  togglePlay() {
    return this.player.isPlaying ? this.player.pause() : this.player.play(this.playhead_s);
  }

  zoom(by) {
    this.#zoom = Math.min(Math.max(this.#zoom + by, 0), ZOOMS.length - 1);
    this.draw();
    this.frame.scrollLeft = toX(this.playhead_s, this.scale) - this.frame.clientWidth / 2;
  }

  /** Seconds that the fade into the selected keyframe takes. */
  get fade_s() {
    return fadeOf(this.track, this.selected, this.#crossFade_s);
  }

  /** Gives the selected keyframe a fade of its own. */
  setFade(fade_s) {
    const most_s = this.track[this.selected].time - this.track[this.selected - 1].time;
    this.edit(this.selected, { fade_s: snap(Math.min(fade_s, most_s)) });
  }

  focusText() {
    this.detail.focus();
  }

  /** Level 0 .. 1 at which a keyframe stands. */
  levelAt(index) {
    return levelOf(this.track[index], this.readings.of(this.track[index]));
  }

  beginDrag() {
    this.#held_s = this.scale.duration_s;
  }

  endDrag() {
    this.#held_s = null;
    this.draw();
    this.endStep();
  }

  /** One step for undo ends here. */
  endStep() {
    commit();
  }

  // Between the widget's JSON and the track.

  /** Whether the keyframes are another node's, and can be looked at alone. */
  get isLocked() {
    return isLinked(this.node, "keyframes");
  }

  get #given() {
    return (this.isLocked ? this.#ran : this.widget.value) ?? "";
  }

  #read() {
    this.#written = this.#given;
    try {
      this.track = parseTrack(this.#given);
      this.problem = null;
    } catch (error) {
      this.track = [];
      this.problem = error.message;
    }
    this.selected = Math.min(Math.max(this.selected, 0), this.track.length - 1);
  }

  #write() {
    this.#written = formatTrack(this.track);
    setValue(this.node, this.widget, this.#written);
    this.draw();
  }

  #startAnew() {
    this.track = [];
    this.problem = null;
    this.#write();
    this.#showProblem();
    this.endStep();
  }

  /** Cuts the link that gives the keyframes, and keeps them. */
  #takeOver() {
    const json = this.#given;
    this.node.disconnectInput(this.node.inputs.findIndex((input) => input.name === "keyframes"));
    if (json) setValue(this.node, this.widget, json);
    this.update();
    this.endStep();
  }

  #showProblem() {
    const linked = this.isLocked ? [this.words.linked, this.#ran ? "" : this.words.run_to_see].join(" ") : null;
    for (const part of [this.adding, this.removing, this.detail.root]) part.inert = Boolean(linked ?? this.problem);
    this.frame.inert = Boolean(this.problem);
    this.json.readOnly = Boolean(linked);
    this.trouble.hidden = !linked && !this.problem;
    this.trouble.classList.toggle("eadnet-bad", Boolean(this.problem));
    this.trouble.firstChild.textContent = this.problem ?? linked ?? "";
    this.mend.hidden = !this.problem || Boolean(linked);
    this.taking.hidden = !linked || !this.#ran;
  }

  // The sound.

  async #findSound() {
    const file = soundFile(this.node, "audio", app.rootGraph ?? app.graph);
    const key = file && viewUrl(file);
    if (key === this.#file) return;
    this.#file = key;
    this.sound = null;
    this.player.open(null);
    const words = isLinked(this.node, "audio") ? this.words.unreadable : this.words.no_sound;
    this.status.textContent = key ? "" : words;
    if (!key) return;
    const sound = await readSound(key).catch(() => undefined);
    if (key !== this.#file) return; // another sound was connected meanwhile
    if (sound === null) this.#file = null; // it may come: samples are copied when their workflow opens
    this.sound = sound ?? null;
    if (sound) this.player.open(key);
    else this.status.textContent = this.words.unreadable;
    this.draw();
  }

  // The page.

  #build() {
    const { words } = this;
    this.playing = button("▶", words.play, () => this.togglePlay());
    this.clock = el("span", { role: "timer", "aria-label": words.playhead });
    this.status = el("span", { className: "eadnet-grow eadnet-ellipsis eadnet-dim", role: "status" });
    this.adding = button("+ ◆", words.add, () => this.add(this.playhead_s));
    this.removing = button("×", words.delete, () => this.remove());
    this.farther = button("⊖", words.zoom_out, () => this.zoom(-1));
    this.closer = button("⊕", words.zoom_in, () => this.zoom(1));
    this.raw = button("{ }", words.raw, () => this.#toggleRaw());
    this.mend = button(words.mend, "", () => this.#startAnew());
    this.taking = button(words.take_over, words.take_over_hint, () => this.#takeOver());
    const { playing, clock, status, adding, removing, farther, closer, raw, mend } = this;
    const bar = el("div", { className: "eadnet-row" }, playing, clock, status, adding, removing, farther, closer, raw);
    this.trouble = el("div", { className: "eadnet-row eadnet-bad", hidden: true }, el("span", { className: "eadnet-grow" }), mend, this.taking);
    this.lane = el("div", { className: "eadnet-lane", tabIndex: 0, role: "group", "aria-label": words.editor });
    this.frame = el("div", { className: "eadnet-frame" }, this.lane);
    this.detail = new Detail(this);
    this.json = el("textarea", { className: "eadnet-text", hidden: true, spellcheck: false, onchange: () => this.endStep() });
    this.json.oninput = () => setValue(this.node, this.widget, this.json.value);
    this.root = el("div", { className: "eadnet" }, this.trouble, bar, this.frame, this.json, this.detail.root);
  }

  #toggleRaw() {
    const isRaw = this.json.hidden;
    this.json.hidden = !isRaw;
    this.json.value = this.#given;
    this.frame.hidden = this.detail.root.hidden = isRaw;
    this.raw.setAttribute("aria-pressed", isRaw);
  }

  get #crossFade_s() {
    return freeValue(this.node, "cross_fade") ?? Infinity;
  }

  /** Draws everything that depends on the state. */
  draw() {
    const { scale } = this;
    const state = this.#state();
    this.readings.ask(this.track);
    this.lane.style.width = `${scale.width_px}px`;
    drawLane(this.lane, state, scale);
    this.#showPlayhead(this.playhead_s);
    this.detail.show(this.track[this.selected], state.readings[this.selected], state.cross_fade_s);
    this.playing.disabled = !this.player.isReady;
    this.removing.disabled = this.selected < 0;
    this.farther.disabled = this.#zoom === 0;
    this.closer.disabled = this.#zoom === ZOOMS.length - 1;
  }

  #state() {
    const { track, selected, playhead_s, sound, words, isLocked } = this;
    const cross_fade_s = this.#crossFade_s;
    const readings = track.map((keyframe) => this.readings.of(keyframe));
    return { track, readings, selected, playhead_s, sound, words, cross_fade_s, isLocked };
  }

  #showPlayhead(time) {
    this.playhead_s = Math.min(time, this.scale.duration_s);
    movePlayhead(this.lane, this.playhead_s, this.scale);
    this.clock.textContent = `${clock(this.playhead_s)} / ${clock(this.scale.duration_s)}`;
  }

  #showPlaying(isPlaying) {
    this.playing.textContent = isPlaying ? "❚❚" : "▶";
    this.playing.title = isPlaying ? this.words.pause : this.words.play;
  }
}
