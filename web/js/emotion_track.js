/** The emotion track editor of the node EADNet_EmotionTrack: the voice's waveform, and on it the emotions over time. */

import { el } from "./dom.js";
import { levelOf } from "./feelings.js";
import { freeValue, widgetOf } from "./graph_walk.js";
import { addPanel, commit, follow, grow, hide, onGraphChange, setValue } from "./host.js";
import { addKeyframe, editKeyframe, moveKeyframe, removeKeyframe, snap } from "./keyframes.js";
import { nextMark, snapTo } from "./marks.js";
import { LANES_PX, MotionLanes } from "./motion_lanes.js";
import { laneLength, mostZoom, region, toX } from "./timeline.js";
import { Bar } from "./track_bar.js";
import { Detail } from "./track_detail.js";
import { TrackFace } from "./track_face.js";
import { comeBack } from "./track_focus.js";
import { listen } from "./track_gestures.js";
import { drawLane, movePlayhead } from "./track_lane.js";
import { floorPx } from "./track_picture.js";
import { Readings } from "./track_readings.js";
import { TrackSound } from "./track_sound.js";
import { SourceNotice, TrackSource } from "./track_source.js";
import { fadeOf } from "./transitions.js";

const WIDTH_PX = 480;
const LEAST_PX = 272;
const MOST_PX = 460;
/** Of the lane in its frame, so that a handle at its start or end is whole; as in the style sheet. */
const MARGIN_PX = 8;
/** How near to a mark a time snaps to it. */
const SNAP_PX = 8;
/** Of the frame: how far from its left edge the playhead is put when it has left the frame. */
const LEAD = 0.1;
/** Puts the editor into the node, in place of the JSON of its `keyframes`. */
export function addTrackEditor(node, words) {
  const editor = new TrackEditor(node, widgetOf(node, "keyframes"), words);
  const update = () => editor.update();
  for (const name of ["keyframes", "cross_fade"]) follow(widgetOf(node, name), "callback", update);
  onGraphChange(node, update);
  follow(node, "onExecuted", (output) => editor.takeRun(output));
  follow(node, "onConfigure", () => comeBack(editor));
  follow(node, "onRemoved", () => editor.close());
}

class TrackEditor {
  track = [];
  selected = -1;
  playhead_s = 0;
  /** {start_s, end_s} that is played again and again, or null. */
  loop = null;
  #zoom = 0;
  #held_s = null;

  constructor(node, widget, words) {
    Object.assign(this, { node, widget, words });
    this.source = new TrackSource(node, widget);
    this.readings = new Readings(() => this.draw());
    this.#build();
    this.sound = new TrackSound(node, words, {
      onChange: () => this.draw(),
      onTime: (s) => (this.#showPlayhead(s), this.#follow()),
      onState: (is) => this.bar.showPlaying(is),
      onProblem: (text) => this.bar.say(text),
    });
    hide(widget);
    if (this.motion.widget) hide(this.motion.widget);
    this.panel = addPanel(node, "emotion_track", this.root, LEAST_PX, MOST_PX);
    this.panel.label = words.track;
    grow(node, WIDTH_PX);
    listen(this.lane, this);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.frame);
  }

  /** The lane's size: what x and y on it mean. A drag keeps the length that it began with. */
  get scale() {
    const duration_s = this.#held_s ?? laneLength(this.track, this.sound.duration_s);
    const { clientWidth, scrollLeft } = this.frame;
    const height_px = Math.max(this.lane.clientHeight, 1);
    const floor_px = floorPx(height_px, this.sound.spoken.length > 0);
    const width_px = this.#fit_px * 2 ** Math.min(this.#zoom, mostZoom(duration_s, this.#fit_px));
    return { duration_s, width_px, height_px, floor_px, left_px: scrollLeft - MARGIN_PX, view_px: clientWidth };
  }

  /** The lane's width when all of it is seen. */
  get #fit_px() {
    return Math.max(this.frame.clientWidth - 2 * MARGIN_PX, 1);
  }

  /** Brings the editor in line with the node: its JSON, its links, its sound. */
  update() {
    const track = this.source.read();
    if (track) this.#take(track);
    if (document.activeElement !== this.json) this.json.value = this.source.json;
    this.#showSource();
    this.sound.find();
    this.face.retry();
    this.motion.update();
    this.#makeRoom();
    this.draw();
  }

  /** Makes the panel as high as what it shows. */
  #makeRoom() {
    const more_px = this.motion.isOn ? LANES_PX : 0;
    const least_px = LEAST_PX + more_px;
    if (this.root.style.minHeight === `${least_px}px`) return;
    this.panel.options.getMinHeight = () => least_px;
    this.panel.options.getMaxHeight = () => MOST_PX + more_px;
    this.root.style.minHeight = `${least_px}px`;
    grow(this.node, WIDTH_PX);
  }

  /** Takes from the node's run its keyframes, and what it heard: the sound that the emotions are really laid over. */
  takeRun({ eadnet_keyframes, eadnet_waveform, eadnet_duration, eadnet_words, eadnet_motion } = {}) {
    this.source.takeRun(eadnet_keyframes?.[0]);
    this.motion.takeRun(eadnet_motion?.[0]);
    this.update();
    this.sound.take(eadnet_waveform, eadnet_duration?.[0], eadnet_words);
  }

  close() {
    this.sound.close();
    this.readings.close();
    this.face.close();
    this.observer.disconnect();
  }

  // Commands of the gestures and buttons.

  select(index) {
    this.selected = index;
    this.draw();
  }

  /** Selects a keyframe and gives it the keyboard's focus. */
  focus(index) {
    this.select(index);
    this.#handle.focus({ preventScroll: true });
  }

  add(time) {
    if (this.isLocked) return;
    [this.track, this.selected] = addKeyframe(this.track, time, this.sound.duration_s);
    this.#write();
    this.endStep();
  }

  move(index, time) {
    if (this.isLocked) return;
    [this.track, this.selected] = moveKeyframe(this.track, index, time, this.sound.duration_s);
    this.#write();
    this.#handle.focus({ preventScroll: true });
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
    const inside_s = Math.min(Math.max(time, 0), this.scale.duration_s);
    this.sound.player.seek(inside_s);
    this.#showPlayhead(inside_s);
    this.#follow();
  }

  togglePlay() {
    const { player } = this.sound;
    return player.isPlaying ? player.pause() : player.play(this.playhead_s);
  }

  zoom(by) {
    const most = mostZoom(this.scale.duration_s, this.#fit_px);
    this.#zoom = Math.min(Math.max(Math.min(this.#zoom, most) + by, 0), most);
    this.lane.style.width = `${this.scale.width_px}px`;
    this.frame.scrollLeft = toX(this.playhead_s, this.scale) - this.frame.clientWidth / 2;
    this.draw();
  }

  /** The time, or the mark that it snaps to. */
  snapped(time) {
    const { duration_s, width_px } = this.scale;
    return this.isSnapping ? snapTo(time, this.sound.marks, (SNAP_PX * duration_s) / width_px) : time;
  }

  /** The next mark after a time, or before it for -1; the time where there is none. */
  markBeside(time, direction) {
    return nextMark(time, this.sound.marks, direction) ?? time;
  }

  /** Whether times snap to marks; kept with the node in the workflow. */
  get isSnapping() {
    return this.node.properties.eadnet_snap !== false;
  }

  toggleSnap() {
    this.node.properties.eadnet_snap = !this.isSnapping;
    this.draw();
    this.endStep();
  }

  /** Repeats what lies between two times; too short a region is none. */
  setLoop(a_s, b_s) {
    this.loop = this.sound.player.loop = region(a_s, b_s, this.scale.duration_s);
    this.draw();
  }

  /** Repeats from the selected keyframe, or the playhead, to the next keyframe; or repeats no more. */
  toggleLoop() {
    const start_s = this.track[this.selected]?.time ?? this.playhead_s;
    const end_s = this.track.find((k) => k.time > start_s)?.time ?? this.scale.duration_s;
    this.loop ? this.setLoop(0, 0) : this.setLoop(start_s, end_s);
  }

  /** Moves "start_s" or "end_s" of the region; the other stays, or is the clip's where there is no region. */
  moveLoop(end, time) {
    const { start_s, end_s } = { ...(this.loop ?? { start_s: 0, end_s: this.scale.duration_s }), [end]: time };
    if (region(start_s, end_s, this.scale.duration_s) && start_s < end_s) this.setLoop(start_s, end_s);
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

  get #handle() {
    return this.lane.querySelector(`.eadnet-handle[data-keyframe="${this.selected}"]`) ?? this.lane;
  }

  // Between the node's JSON and the track.

  /** Whether the keyframes are another node's, and can be looked at alone. */
  get isLocked() {
    return this.source.isLocked;
  }

  #take(track) {
    this.track = track;
    this.selected = Math.min(Math.max(this.selected, 0), track.length - 1);
  }

  #write() {
    this.source.write(this.track);
    this.draw();
  }

  #startAnew() {
    this.track = [];
    this.#write();
    this.#showSource();
    this.endStep();
  }

  #takeOver() {
    this.source.takeOver();
    this.update();
    this.endStep();
  }

  #showSource() {
    const { isLocked, problem } = this.source;
    this.detail.root.inert = isLocked || Boolean(problem);
    this.frame.inert = Boolean(problem);
    this.json.readOnly = isLocked;
    this.notice.show(this.source);
  }

  // The page.

  #build() {
    const { words } = this;
    this.bar = new Bar(this);
    this.motion = new MotionLanes(this);
    this.face = new TrackFace(this.node, words);
    this.notice = new SourceNotice(words, { onMend: () => this.#startAnew(), onTakeOver: () => this.#takeOver() });
    this.lane = el("div", { className: "eadnet-lane", tabIndex: 0, role: "group", "aria-label": words.editor });
    this.frame = el("div", { className: "eadnet-frame", onscroll: () => this.draw() }, this.lane, this.motion.root);
    this.view = el("div", { className: "eadnet-view" }, this.face.root, this.frame);
    this.detail = new Detail(this);
    this.json = el("textarea", { className: "eadnet-text", hidden: true, spellcheck: false, onchange: () => this.endStep() });
    this.json.oninput = () => setValue(this.node, this.widget, this.json.value);
    this.root = el("div", { className: "eadnet" }, this.notice.root, this.bar.root, this.view, this.json, this.motion.row, this.detail.root);
  }

  toggleRaw() {
    const isRaw = this.json.hidden;
    this.json.hidden = !isRaw;
    this.json.value = this.source.json;
    this.view.hidden = this.detail.root.hidden = isRaw;
    this.draw();
  }

  toggleMotion() {
    this.node.properties.eadnet_motion = !this.motion.isOn;
    this.#makeRoom();
    this.draw();
    this.endStep();
  }

  toggleFace() {
    this.node.properties.eadnet_face = !this.face.isOn;
    this.draw();
    this.endStep();
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
    this.motion.draw(scale);
    this.#showPlayhead(this.playhead_s);
    this.detail.show(this.track[this.selected], state.readings[this.selected], state.cross_fade_s);
    const most = mostZoom(scale.duration_s, this.#fit_px);
    this.bar.show({
      isReady: this.sound.player.isReady,
      isEditable: !this.isLocked && !this.source.problem,
      hasSelected: this.selected >= 0,
      loop: this.loop,
      isSnapping: this.isSnapping,
      isFacing: this.face.isOn,
      isMoving: this.motion.isOn,
      isRaw: !this.json.hidden,
      zoom: Math.min(this.#zoom, most),
      mostZoom: most,
    });
  }

  #state() {
    const { track, selected, playhead_s, loop, isLocked, words: said } = this;
    const { wave, spoken, marks } = this.sound;
    const cross_fade_s = this.#crossFade_s;
    const readings = track.map((keyframe) => this.readings.of(keyframe));
    return { track, readings, selected, playhead_s, cross_fade_s, wave, spoken, marks: this.isSnapping ? marks : [], loop, said, isLocked };
  }

  #showPlayhead(time) {
    this.playhead_s = Math.min(time, this.scale.duration_s);
    movePlayhead(this.lane, this.playhead_s, this.scale);
    this.motion.movePlayhead(this.scale);
    this.bar.showTime(this.playhead_s, this.scale.duration_s);
    this.face.show(this.track, this.playhead_s, this.#crossFade_s, this.motion.turnedAt(this.playhead_s));
  }

  /** Scrolls to the playhead where it has left the frame. */
  #follow() {
    const { left_px, view_px } = this.scale;
    const x = toX(this.playhead_s, this.scale);
    if (x < left_px || x > left_px + view_px) this.frame.scrollLeft = x - LEAD * view_px;
  }
}
