/**
 * The keyframes of an emotion track as plain values: what the track editor changes and the node's widget keeps.
 *
 * A track is a list in the order of time, no two at one time. A keyframe is {time, text, intensity, fade_s, ease}: seconds,
 * words, 0 .. 1 or null where the face should be as strong as the words ask, the seconds before it in which the face
 * changes or null for the node's cross_fade, and one of EASES. What else stands in the JSON, such as `code`, is kept.
 * Nothing here changes a track in place.
 */

import { EASES } from "./transitions.js";

/** Times are kept to a hundredth of a second: a quarter of a video frame. */
export const STEP_S = 0.01;

const STEPS_PER_S = Math.round(1 / STEP_S);
const NEW = { text: "", intensity: null, fade_s: null, ease: "linear" };

/** Seconds on the grid of STEP_S, never negative; beyond `limit_s` becomes `limit_s`. */
export function snap(time, limit_s = Infinity) {
  const last = Number.isFinite(limit_s) ? Math.floor(limit_s * STEPS_PER_S) : Infinity;
  return Math.min(Math.max(Math.round(time * STEPS_PER_S), 0), last) / STEPS_PER_S;
}

/**
 * A track from the widget's JSON: a list of {"time", "text", "intensity"}, or one string for the whole clip.
 * `time_s`, the name in files of the command line, is read as well. Throws Error with a sentence for the user.
 */
export function parseTrack(json) {
  if (!json.trim()) return [];
  let value;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new Error(`The keyframes are not JSON: ${error.message}.`);
  }
  if (typeof value === "string") return [{ ...NEW, time: 0, text: value }];
  if (!Array.isArray(value)) throw new Error('The keyframes must be a list of {"time": seconds, "text": "words"}.');
  const track = value.map(parseKeyframe).sort((a, b) => a.time - b.time);
  const twin = track.find((k, i) => i > 0 && track[i - 1].time === k.time);
  if (twin) throw new Error(`Two keyframes stand at ${twin.time} s: give each its own time.`);
  return track;
}

function parseKeyframe(item, i) {
  const time = item?.time ?? item?.time_s;
  const { time: _time, time_s: _time_s, ...given } = item ?? {};
  const { text, intensity, fade_s, ease, ...more } = { ...NEW, ...given };
  if (!Number.isFinite(time) || time < 0) throw new Error(`Keyframe ${i} needs a "time" of 0 or more seconds.`);
  if (typeof text !== "string") throw new Error(`The "text" of keyframe ${i} must be words.`);
  const isLevel = intensity === null || (Number.isFinite(intensity) && intensity >= 0 && intensity <= 1);
  if (!isLevel) throw new Error(`The "intensity" of keyframe ${i} must be 0 .. 1.`);
  const isFade = fade_s === null || (Number.isFinite(fade_s) && fade_s >= 0);
  if (!isFade) throw new Error(`The "fade_s" of keyframe ${i} must be 0 or more seconds.`);
  if (!EASES.includes(ease)) throw new Error(`The "ease" of keyframe ${i} must be one of ${EASES.join(", ")}.`);
  return { time, text, intensity, fade_s, ease, ...more };
}

/** The JSON that `parseTrack` and the node read; what is as usual is left out. */
export function formatTrack(track) {
  const plain = track.map(({ time, text, ...more }) => {
    const unusual = Object.entries(more).filter(([name, value]) => value !== NEW[name]);
    return { time, text, ...Object.fromEntries(unusual) };
  });
  return JSON.stringify(plain);
}

/** Index of the keyframe in force at a time: the last one that has begun, else the first; -1 for an empty track. */
export function indexAt(track, time) {
  const begun = track.findLastIndex((k) => k.time <= time);
  return begun < 0 && track.length ? 0 : begun;
}

/** The keyframes that decide what is felt at a time: the one in force and the next, into which it may be fading. */
export function around(track, time) {
  return track.length ? track.slice(indexAt(track, time)).slice(0, track[0].time > time ? 1 : 2) : [];
}

/** [track with one more keyframe at `time`, its index]; it starts as a copy of the one in force there. */
export function addKeyframe(track, time, limit_s) {
  return place(track, { ...NEW, ...track[indexAt(track, time)], time }, limit_s);
}

/** [track with keyframe `index` at another time, its index there]; it may pass others, and never lands on one. */
export function moveKeyframe(track, index, time, limit_s) {
  return place(track.toSpliced(index, 1), { ...track[index], time }, limit_s);
}

/** The track without keyframe `index`. */
export function removeKeyframe(track, index) {
  return track.toSpliced(index, 1);
}

/** The track with something else in keyframe `index`; new words take the place of a `code`. */
export function editKeyframe(track, index, change) {
  const { code: _code, ...words } = track[index];
  return track.with(index, { ...(change.text === undefined ? track[index] : words), ...change });
}

function place(track, keyframe, limit_s) {
  const placed = { ...keyframe, time: freeTime(track, keyframe.time, limit_s) };
  const index = track.findIndex((k) => k.time > placed.time);
  const at = index < 0 ? track.length : index;
  return [track.toSpliced(at, 0, placed), at];
}

/** The nearest time on the grid that no keyframe holds; `limit_s` is exceeded only when nothing before it is free. */
function freeTime(track, time, limit_s) {
  const wanted = snap(time, limit_s);
  const isTaken = (t) => track.some((k) => Math.abs(k.time - t) < STEP_S / 2);
  for (let n = 0; n <= track.length; n++) {
    for (const t of [snap(wanted + n * STEP_S, limit_s), snap(wanted - n * STEP_S)]) if (!isTaken(t)) return t;
  }
  return snap(wanted + (track.length + 1) * STEP_S);
}
