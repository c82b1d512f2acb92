/**
 * What is changed of a motion by hand, as plain values: what the lanes change and the node's widget keeps.
 *
 * Edits are {yaw: {smooth_s, points: [[time, change], ..]}, .., blinks: {add: [time], remove: [time]}}, as
 * eadnet_core/motion/edits.py reads them; the arithmetic of points is the same there. A motion is {fps, tracks}.
 * Nothing here changes edits in place.
 */

import { snap } from "./keyframes.js";

/** Lanes with points, and how far from rest each shows: degrees, and shares of a gaze. */
export const LANES = { yaw: 20, pitch: 12, roll: 9, gaze_x: 1, gaze_y: 1 };
export const BLINKS = "blinks";
export const MOST_SMOOTH_S = 2;
/** As in eadnet_core/motion/edits.py. */
const REACH_S = 0.6;
const NEAR_S = 0.25;
const MOST = { yaw: 45, pitch: 45, roll: 45, gaze_x: 1, gaze_y: 1 };
const SHUT = 0.5;

/** Edits from the widget's JSON; throws Error with a sentence for the user. */
export function parseEdits(json) {
  if (!json?.trim()) return {};
  const edits = JSON.parse(json);
  const isObject = (value) => value && typeof value === "object" && !Array.isArray(value);
  const isPoint = (point) => Array.isArray(point) && point.length === 2 && point.every(Number.isFinite);
  const isLane = (lane) => isObject(lane) && (lane.points ?? []).every(isPoint) && Number.isFinite(lane.smooth_s ?? 0);
  const isBlinks = (blinks) => isObject(blinks) && [...(blinks.add ?? []), ...(blinks.remove ?? [])].every(Number.isFinite);
  const isGood = isObject(edits) && Object.entries(edits).every(([name, value]) => (name === BLINKS ? isBlinks(value) : name in LANES && isLane(value)));
  if (!isGood) throw new Error('Edits of a motion are {"yaw": {"points": [[seconds, change]]}, "blinks": {"add": [seconds]}}.');
  return edits;
}

/** The JSON that `parseEdits` and the node read; "" where nothing is changed. */
export function formatEdits(edits) {
  const kept = {};
  for (const name of Object.keys(LANES)) {
    const { points = [], smooth_s = 0 } = edits[name] ?? {};
    const lane = { ...(smooth_s ? { smooth_s } : {}), ...(points.length ? { points } : {}) };
    if (Object.keys(lane).length) kept[name] = lane;
  }
  const { add = [], remove = [] } = edits[BLINKS] ?? {};
  const blinks = { ...(add.length ? { add } : {}), ...(remove.length ? { remove } : {}) };
  if (Object.keys(blinks).length) kept[BLINKS] = blinks;
  return Object.keys(kept).length ? JSON.stringify(kept) : "";
}

export function pointsOf(edits, name) {
  return edits[name]?.points ?? [];
}

/** The change of a lane at a time. */
export function changeAt(points, time) {
  if (!points.length) return 0;
  const knots = knotsOf(points);
  const after = Math.min(Math.max(knots.findIndex(([t]) => t > time), 1), knots.length - 1);
  if (time >= knots.at(-1)[0]) return 0;
  const [[t0, v0], [t1, v1]] = [knots[after - 1], knots[after]];
  const share = Math.min(Math.max((time - t0) / (t1 - t0), 0), 1);
  return v0 + share * share * (3 - 2 * share) * (v1 - v0);
}

function knotsOf(points) {
  const knots = [[points[0][0] - REACH_S, 0], points[0]];
  for (const [i, [t1, v1]] of points.slice(1).entries()) {
    const [t0, v0] = points[i];
    const apart = t1 - t0;
    if (apart >= 2 * REACH_S) knots.push([t0 + REACH_S, 0], [t1 - REACH_S + 1e-9, 0]);
    else if (apart > REACH_S) knots.push([(t0 + t1) / 2, ((2 - apart / REACH_S) * (v0 + v1)) / 2]);
    knots.push([t1, v1]);
  }
  return [...knots, [points.at(-1)[0] + REACH_S, 0]];
}

/** What a motion's lane is by itself at a time: in straight lines between the middles of frames, averaged where it is smooth. */
export function ownAt(motion, name, time, smooth_s = 0) {
  const track = motion?.tracks[name];
  if (!track) return 0;
  const reach = Math.min(Math.round(smooth_s * motion.fps), track.length - 1);
  const at = time * motion.fps - 0.5;
  if (reach < 1) return between(track, at);
  let sum = 0;
  let weights = 0;
  for (let by = -reach; by <= reach; by++) {
    const weight = 1 + Math.cos((Math.PI * by) / (reach + 1));
    sum += weight * between(track, at + by);
    weights += weight;
  }
  return sum / weights;
}

function between(track, at) {
  const inside = Math.min(Math.max(at, 0), track.length - 1);
  const first = Math.min(Math.floor(inside), Math.max(track.length - 2, 0));
  const next = track[Math.min(first + 1, track.length - 1)];
  return track[first] + (inside - first) * (next - track[first]);
}

/** What a lane does at a time with what is changed of it. */
export function valueAt(motion, edits, name, time) {
  const { points = [], smooth_s = 0 } = edits[name] ?? {};
  return ownAt(motion, name, time, smooth_s) + changeAt(points, time);
}

/** Whether a lane is a motion's or has been drawn. */
export function isSet(motion, edits, name) {
  return Boolean(motion?.tracks[name]) || pointsOf(edits, name).length > 0;
}

/** [edits with one more point at which a lane has a value, its index]. */
export function addPoint(motion, edits, name, time, value) {
  const { points = [], smooth_s = 0 } = edits[name] ?? {};
  return placePoint(edits, name, points, time, value - ownAt(motion, name, time, smooth_s));
}

/** [edits with point `index` elsewhere, its index there]; `value` is what the lane is to be at that time. */
export function movePoint(motion, edits, name, index, time, value) {
  const { points, smooth_s = 0 } = edits[name];
  return placePoint(edits, name, points.toSpliced(index, 1), time, value - ownAt(motion, name, time, smooth_s));
}

function placePoint(edits, name, points, time, change) {
  const held = Math.round(Math.min(Math.max(change, -MOST[name]), MOST[name]) * 1000) / 1000;
  let at = snap(time);
  while (points.some(([t]) => t === at)) at = snap(at + 0.01);
  const sorted = [...points, [at, held]].sort((a, b) => a[0] - b[0]);
  return [{ ...edits, [name]: { ...edits[name], points: sorted } }, sorted.findIndex(([t]) => t === at)];
}

export function removePoint(edits, name, index) {
  return { ...edits, [name]: { ...edits[name], points: edits[name].points.toSpliced(index, 1) } };
}

export function setSmooth(edits, name, smooth_s) {
  const held = Math.min(Math.max(smooth_s, 0), MOST_SMOOTH_S);
  return { ...edits, [name]: { ...edits[name], smooth_s: Math.round(held * 100) / 100 } };
}

/** The edits without those of a lane. */
export function resetLane(edits, name) {
  const { [name]: _gone, ...others } = edits;
  return others;
}

/** Every blink in the order of time: {time, isOwn: of the motion, isRemoved}. */
export function blinksOf(motion, edits) {
  const { add = [], remove = [] } = edits[BLINKS] ?? {};
  const track = motion?.tracks.blink ?? [];
  const own = [];
  for (let i = 0; i < track.length; i++) {
    if (!(track[i] > SHUT)) continue;
    const first = i;
    while (i + 1 < track.length && track[i + 1] > SHUT) i++;
    const [start, end] = [(first + 0.5) / motion.fps, (i + 0.5) / motion.fps];
    const isRemoved = remove.some((time) => time >= start - NEAR_S && time <= end + NEAR_S);
    own.push({ time: (start + end) / 2, isOwn: true, isRemoved });
  }
  return [...own, ...add.map((time) => ({ time, isOwn: false, isRemoved: false }))].sort((a, b) => a.time - b.time);
}

/** [edits with one more blink, its index among all]. */
export function addBlink(motion, edits, time) {
  const { add = [], remove = [] } = edits[BLINKS] ?? {};
  const at = snap(time);
  const result = { ...edits, [BLINKS]: { add: [...add.filter((t) => t !== at), at].sort((a, b) => a - b), remove } };
  return [result, blinksOf(motion, result).findIndex((blink) => !blink.isOwn && blink.time === at)];
}

/** The edits without a blink, one of `blinksOf`; one of the motion that is taken out already comes in again. */
export function toggleBlink(edits, { time, isOwn, isRemoved }) {
  const { add = [], remove = [] } = edits[BLINKS] ?? {};
  if (!isOwn) return { ...edits, [BLINKS]: { add: add.filter((t) => t !== time), remove } };
  const others = remove.filter((t) => Math.abs(t - time) > NEAR_S + 0.2);
  return { ...edits, [BLINKS]: { add, remove: isRemoved ? others : [...remove, snap(time)].sort((a, b) => a - b) } };
}

/** [edits with a blink at another time, its index there]; one of the motion is taken out, and another put in. */
export function moveBlink(motion, edits, blink, time) {
  const without = blink.isOwn && blink.isRemoved ? edits : toggleBlink(edits, blink);
  return addBlink(motion, without, time);
}

/** {yaw, ..} of the face at a time, for what is a motion's or drawn; null where nothing is. */
export function turnedAt(motion, edits, time) {
  const names = Object.keys(LANES).filter((name) => isSet(motion, edits, name));
  const turned = Object.fromEntries(names.map((name) => [name, Math.round(valueAt(motion, edits, name, time) * 1000) / 1000]));
  const blinks = blinksOf(motion, edits);
  if (!names.length && !blinks.length) return null;
  const isShut = blinks.some((blink) => !blink.isRemoved && Math.abs(blink.time - time) <= 0.06);
  return { ...turned, ...(isShut ? { blink: 1 } : {}) };
}
