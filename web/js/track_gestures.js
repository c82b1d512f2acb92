/** Pointer and keyboard on the lane of an emotion track, as commands to its editor. */

import { STEP_S } from "./keyframes.js";
import { dragAxis, hit, toTime } from "./timeline.js";
import { rounded } from "./track_detail.js";
import { yToLevel } from "./track_lane.js";
import { EASES } from "./transitions.js";

const NUDGE_S = 0.1;
const NUDGE_LEVEL = 0.05;

/** Lets the user work on `lane`; `editor` has the state (track, selected, playhead_s, scale) and the commands. */
export function listen(lane, editor) {
  lane.addEventListener("pointerdown", (e) => e.button === 0 && press(lane, editor, e));
  lane.addEventListener("dblclick", (e) => {
    if (keyframeUnder(lane, editor, e) < 0) editor.add(toTime(pixels(lane, e).x, editor.scale));
    editor.focusText();
  });
  lane.addEventListener("focusin", (e) => {
    const index = Number(e.target.dataset.keyframe ?? -1);
    if (index >= 0 && index !== editor.selected) editor.select(index);
  });
  lane.addEventListener("keydown", (e) => {
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
  return Number(event.target.dataset.keyframe ?? hit(editor.track, pixels(lane, event).x, editor.scale));
}

function press(lane, editor, down) {
  const isFade = down.target.dataset.fade !== undefined;
  const index = isFade ? editor.selected : keyframeUnder(lane, editor, down);
  const move = isFade ? dragFade(lane, editor, down) : index < 0 ? scrub(lane, editor) : drag(lane, editor, index, down);
  const end = () => {
    lane.removeEventListener("pointermove", move);
    editor.endDrag();
  };
  lane.setPointerCapture(down.pointerId);
  editor.beginDrag();
  lane.addEventListener("pointermove", move);
  lane.addEventListener("lostpointercapture", end, { once: true });
  if (index < 0) move(down);
}

function scrub(lane, editor) {
  return (e) => editor.seek(toTime(pixels(lane, e).x, editor.scale));
}

/** Moves a keyframe along one axis: the one that the drag begins with. */
function drag(lane, editor, index, down) {
  editor.select(index);
  const start = pixels(lane, down);
  const { time } = editor.track[index];
  let axis = null;
  return (e) => {
    const at = pixels(lane, e);
    axis ??= dragAxis(at.x - start.x, at.y - start.y);
    const by_s = ((at.x - start.x) / editor.scale.width_px) * editor.scale.duration_s;
    if (axis === "time") editor.move(editor.selected, time + by_s);
    if (axis === "intensity") editor.edit(editor.selected, { intensity: rounded(yToLevel(at.y, editor.scale.height_px)) });
  };
}

/** Moves the beginning of the fade into the selected keyframe. */
function dragFade(lane, editor, down) {
  const start = pixels(lane, down);
  const fade_s = editor.fade_s;
  return (e) => {
    const by_s = ((pixels(lane, e).x - start.x) / editor.scale.width_px) * editor.scale.duration_s;
    editor.setFade(fade_s - by_s);
  };
}

/** Does what a key says; false when it says nothing. */
function pressKey(editor, { key, shiftKey, target: { dataset } }) {
  const more = dataset.fade !== undefined ? ON_FADE : dataset.keyframe !== undefined ? ON_HANDLE : ON_LANE;
  const command = more[key] ?? COMMANDS[key];
  if (!command) return false;
  command(editor, shiftKey ? STEP_S : NUDGE_S);
  return true;
}

const COMMANDS = {
  " ": (editor) => editor.togglePlay(),
  n: (editor) => editor.add(editor.playhead_s),
  "+": (editor) => editor.zoom(1),
  "-": (editor) => editor.zoom(-1),
  Delete: (editor) => editor.remove(),
  Backspace: (editor) => editor.remove(),
};

const ON_LANE = {
  ArrowLeft: (editor, by_s) => editor.seek(editor.playhead_s - by_s),
  ArrowRight: (editor, by_s) => editor.seek(editor.playhead_s + by_s),
  Home: (editor) => editor.seek(0),
  End: (editor) => editor.seek(editor.scale.duration_s),
};

const ON_HANDLE = {
  ArrowLeft: (editor, by_s) => nudgeTime(editor, -by_s),
  ArrowRight: (editor, by_s) => nudgeTime(editor, by_s),
  ArrowUp: (editor) => nudgeLevel(editor, NUDGE_LEVEL),
  ArrowDown: (editor) => nudgeLevel(editor, -NUDGE_LEVEL),
  Enter: (editor) => editor.focusText(),
  e: (editor) => nextEase(editor),
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
