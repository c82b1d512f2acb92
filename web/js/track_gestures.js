/** Pointer and keyboard on the lane of an emotion track, as commands to its editor. */

import { STEP_S } from "./keyframes.js";
import { dragAxis, hit, toTime, toX } from "./timeline.js";
import { rounded } from "./track_detail.js";
import { leave } from "./track_focus.js";
import { isOnRuler, yToLevel } from "./track_picture.js";
import { EASES } from "./transitions.js";

const NUDGE_S = 0.1;
const NUDGE_LEVEL = 0.05;

/** Lets the user work on `lane`; `editor` has the state (track, selected, playhead_s, scale) and the commands. */
export function listen(lane, editor) {
  let pressed = -1; // a double-click is the lane's, which has caught the pointer
  lane.addEventListener("pointerdown", (e) => {
    if (e.button !== 0) return;
    pressed = keyframeUnder(lane, editor, e);
    press(lane, editor, e);
  });
  lane.addEventListener("dblclick", (e) => {
    if (isOnRuler(pixels(lane, e).y)) return;
    if (pressed < 0) editor.add(editor.snapped(toTime(pixels(lane, e).x, editor.scale)));
    editor.focusText();
  });
  lane.addEventListener("focusin", (e) => {
    const index = Number(e.target.dataset.keyframe ?? -1);
    if (index >= 0 && index !== editor.selected) editor.select(index);
  });
  lane.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey) leave(editor); // the page undoes, and makes a new node
    if (e.ctrlKey || e.metaKey || e.altKey || !pressKey(editor, e)) return;
    e.preventDefault();
    e.stopPropagation(); // ComfyUI would move or delete the node
  });
}

/** Where an event is in the lane's own pixels, whatever the canvas is zoomed to. */
function pixels(lane, { clientX, clientY }) {
  const { left, top, width, height } = lane.getBoundingClientRect();
  return { x: ((clientX - left) / width) * lane.offsetWidth, y: ((clientY - top) / height) * lane.offsetHeight };
}

function keyframeUnder(lane, editor, event) {
  const { keyframe, label } = event.target.dataset;
  return Number(keyframe ?? label ?? hit(editor.track, pixels(lane, event).x, editor.scale));
}

function press(lane, editor, down) {
  const move = gesture(lane, editor, down);
  const end = () => {
    lane.removeEventListener("pointermove", move);
    editor.endDrag();
  };
  lane.setPointerCapture(down.pointerId);
  editor.beginDrag();
  lane.addEventListener("pointermove", move);
  lane.addEventListener("lostpointercapture", end, { once: true });
}

/** What a press begins, as a listener for the moves of the pointer. With Alt nothing snaps. */
function gesture(lane, editor, down) {
  const { loop, fade } = down.target.dataset;
  if (loop) return (e) => editor.moveLoop(loop, timeAt(lane, editor, e));
  if (fade) return dragFade(lane, editor, down);
  if (isOnRuler(pixels(lane, down).y)) return sweep(lane, editor, down);
  const index = keyframeUnder(lane, editor, down);
  if (index >= 0) return drag(lane, editor, index, down);
  const scrub = (e) => editor.seek(toTime(pixels(lane, e).x, editor.scale));
  scrub(down);
  return scrub;
}

/** The time under an event, at a mark where one is near. */
function timeAt(lane, editor, event, by_px = 0) {
  const time = toTime(pixels(lane, event).x + by_px, editor.scale);
  return event.altKey ? time : editor.snapped(time);
}

/** On the ruler: draws the region to repeat; a press alone moves the playhead. */
function sweep(lane, editor, down) {
  const from = pixels(lane, down).x;
  const from_s = timeAt(lane, editor, down);
  editor.seek(toTime(from, editor.scale));
  return (e) => dragAxis(pixels(lane, e).x - from, 0) && editor.setLoop(from_s, timeAt(lane, editor, e));
}

/** Moves a keyframe along one axis: the one that the drag begins with; by its label it moves in time alone. */
function drag(lane, editor, index, down) {
  editor.select(index);
  const start = pixels(lane, down);
  const by_px = toX(editor.track[index].time, editor.scale) - start.x;
  const isLabel = down.target.dataset.label !== undefined;
  let axis = null;
  return (e) => {
    const at = pixels(lane, e);
    axis ??= dragAxis(at.x - start.x, isLabel ? 0 : at.y - start.y);
    if (axis === "time") editor.move(editor.selected, timeAt(lane, editor, e, by_px));
    if (axis === "intensity") editor.edit(editor.selected, { intensity: rounded(yToLevel(at.y, editor.scale)) });
  };
}

/** Moves the beginning of the fade into the selected keyframe. */
function dragFade(lane, editor, down) {
  const { time } = editor.track[editor.selected];
  const by_px = toX(time - editor.fade_s, editor.scale) - pixels(lane, down).x;
  return (e) => editor.setFade(time - timeAt(lane, editor, e, by_px));
}

/** Does what a key says; false when it says nothing. */
function pressKey(editor, { key, shiftKey, target: { dataset } }) {
  const more = dataset.loop ? ON_LOOP : dataset.fade ? ON_FADE : dataset.keyframe ? ON_HANDLE : ON_LANE;
  const command = more[key] ?? COMMANDS[key];
  if (!command) return false;
  command(editor, shiftKey ? STEP_S : NUDGE_S, dataset.loop);
  return true;
}

const COMMANDS = {
  " ": (editor) => editor.togglePlay(),
  n: (editor) => editor.add(editor.playhead_s),
  l: (editor) => editor.toggleLoop(),
  s: (editor) => editor.toggleSnap(),
  f: (editor) => editor.toggleFace(),
  m: (editor) => editor.toggleMotion(),
  "[": (editor) => editor.moveLoop("start_s", editor.playhead_s),
  "]": (editor) => editor.moveLoop("end_s", editor.playhead_s),
  "+": (editor) => editor.zoom(1),
  "-": (editor) => editor.zoom(-1),
  Delete: (editor) => editor.remove(),
  Backspace: (editor) => editor.remove(),
};

const ON_LANE = {
  ArrowLeft: (editor, by_s) => editor.seek(editor.playhead_s - by_s),
  ArrowRight: (editor, by_s) => editor.seek(editor.playhead_s + by_s),
  ",": (editor) => editor.seek(editor.markBeside(editor.playhead_s, -1)),
  ".": (editor) => editor.seek(editor.markBeside(editor.playhead_s, 1)),
  Home: (editor) => editor.seek(0),
  End: (editor) => editor.seek(editor.scale.duration_s),
};

const ON_HANDLE = {
  ArrowLeft: (editor, by_s) => nudgeTime(editor, -by_s),
  ArrowRight: (editor, by_s) => nudgeTime(editor, by_s),
  ArrowUp: (editor) => nudgeLevel(editor, NUDGE_LEVEL),
  ArrowDown: (editor) => nudgeLevel(editor, -NUDGE_LEVEL),
  ",": (editor) => toMark(editor, -1),
  ".": (editor) => toMark(editor, 1),
  Enter: (editor) => editor.focusText(),
  e: (editor) => nextEase(editor),
};

const ON_LOOP = {
  ArrowLeft: (editor, by_s, end) => editor.moveLoop(end, editor.loop[end] - by_s),
  ArrowRight: (editor, by_s, end) => editor.moveLoop(end, editor.loop[end] + by_s),
  ",": (editor, _, end) => editor.moveLoop(end, editor.markBeside(editor.loop[end], -1)),
  ".": (editor, _, end) => editor.moveLoop(end, editor.markBeside(editor.loop[end], 1)),
  Delete: (editor) => editor.toggleLoop(),
  Backspace: (editor) => editor.toggleLoop(),
};

const ON_FADE = {
  ArrowLeft: (editor, by_s) => nudgeFade(editor, by_s),
  ArrowRight: (editor, by_s) => nudgeFade(editor, -by_s),
  e: (editor) => nextEase(editor),
  Delete: (editor) => resetFade(editor),
  Backspace: (editor) => resetFade(editor),
};

function nudgeTime(editor, by_s) {
  editor.move(editor.selected, editor.track[editor.selected].time + by_s);
  editor.endStep();
}

function toMark(editor, direction) {
  editor.move(editor.selected, editor.markBeside(editor.track[editor.selected].time, direction));
  editor.endStep();
}

function nudgeLevel(editor, by) {
  const level = editor.levelAt(editor.selected) + by;
  editor.edit(editor.selected, { intensity: rounded(Math.min(Math.max(level, 0), 1)) });
  editor.endStep();
}

function nudgeFade(editor, by_s) {
  editor.setFade(editor.fade_s + by_s);
  editor.endStep();
}

function resetFade(editor) {
  editor.edit(editor.selected, { fade_s: null });
  editor.endStep();
}

function nextEase(editor) {
  const at = EASES.indexOf(editor.track[editor.selected].ease);
  editor.edit(editor.selected, { ease: EASES[(at + 1) % EASES.length] });
  editor.endStep();
}
