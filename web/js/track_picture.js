/** The picture of an emotion track as far as it is seen: ruler, waveform, marks and words, the line of the feelings. */

import { svg } from "./dom.js";
import { colorOf, levelOf } from "./feelings.js";
import { sparse, wordsWithRoom } from "./marks.js";
import { clock, ticks, toTime, toX } from "./timeline.js";
import { line } from "./transitions.js";
import { wavePath } from "./waveform.js";

const RULER_PX = 16;
const WORDS_PX = 14;
const RIBBON_PX = 5;
const LABELS_PX = 18;
const HANDLE_PX = 7;
/** Points of a waveform in a pixel: the canvas may be zoomed. */
const DENSITY = 2;
/** What is drawn beyond the edge of the frame. */
const BEYOND_PX = 24;
const MARKS_APART_PX = 3;
/** Of a letter in the row of words. */
const LETTER_PX = 5.5;
let n_lanes = 0;

/** Pixels from the top of the lane down to the ribbon of feelings, where words do or do not stand above it. */
export function floorPx(height_px, hasWords) {
  return height_px - RIBBON_PX - LABELS_PX - (hasWords ? WORDS_PX : 0);
}

/** Pixels from the top of the lane for a level, and back. */
export function levelToY(level, { floor_px }) {
  return RULER_PX + HANDLE_PX + (1 - level) * room(floor_px);
}

export function yToLevel(y, { floor_px }) {
  return Math.min(Math.max(1 - (y - RULER_PX - HANDLE_PX) / room(floor_px), 0), 1);
}

/** Whether a height is on the ruler, where a region to repeat is drawn. */
export function isOnRuler(y) {
  return y < RULER_PX;
}

function room(floor_px) {
  return Math.max(floor_px - RULER_PX - 2 * HANDLE_PX, 1);
}

/**
 * The picture, as an SVG element that lies where the frame shows the lane.
 *
 * state  {track, readings, playhead_s, cross_fade_s, wave | null, spoken, marks, loop | null}
 * scale  {duration_s, width_px, height_px, floor_px, left_px, view_px}: the lane, and which part of it is in the frame
 */
export function drawPicture(state, scale) {
  const left = Math.max(scale.left_px - BEYOND_PX, 0);
  const width = Math.max(Math.min(scale.left_px + scale.view_px + BEYOND_PX, scale.width_px) - left, 1);
  const seen = { ...scale, left, width, from_s: toTime(left, scale), to_s: toTime(left + width, scale) };
  const picture = svg("svg", { viewBox: `${left} 0 ${width} ${scale.height_px}`, "aria-hidden": "true" });
  picture.style.cssText = `left:${left}px;width:${width}px`;
  picture.append(...repeated(state, seen), ...waveform(state, seen), ...ruler(seen), ...curve(state, seen));
  picture.append(...speech(state, seen), playhead(state, seen));
  return picture;
}

function waveform({ wave }, { left, width, from_s, to_s, ...scale }) {
  if (!wave) return [];
  const end = toX(wave.duration_s, scale);
  const heights = wave.columns(from_s, to_s, Math.ceil(width * DENSITY));
  const seen = heights.slice(0, Math.max(Math.ceil((end - left) * DENSITY), 0));
  const d = wavePath(seen, left, width / heights.length, scale.floor_px - RULER_PX);
  const path = svg("path", { class: "eadnet-wave", d, transform: `translate(0 ${RULER_PX})` });
  const beyond = { class: "eadnet-silence", x: end, y: 0, width: Math.max(scale.width_px - end, 0), height: scale.height_px };
  return [path, svg("rect", beyond)];
}

/** The region that is played again and again. */
function repeated({ loop }, { height_px, ...scale }) {
  if (!loop) return [];
  const x = toX(loop.start_s, scale);
  const box = { x, y: 0, width: toX(loop.end_s, scale) - x };
  return [
    svg("rect", { class: "eadnet-loop", ...box, height: height_px }),
    svg("rect", { class: "eadnet-loop-bar", ...box, height: 3 }),
  ];
}

function ruler({ from_s, to_s, ...scale }) {
  const all = ticks(scale, 56, from_s, to_s);
  const step = all.length > 1 ? all[1] - all[0] : 1;
  const digits = step < 0.0999 ? 2 : step < 1 ? 1 : 0;
  return all.flatMap((time) => {
    const x = toX(time, scale);
    const tick = svg("line", { class: "eadnet-tick", x1: x, x2: x, y1: 0, y2: scale.height_px });
    return [tick, svg("text", { x: x + 3, y: 11 }, clock(time, digits))];
  });
}

/** Where keyframes may snap to, and the words that are said there. */
function speech({ marks, spoken }, { from_s, to_s, floor_px, ...scale }) {
  const ribbon = floor_px + (spoken.length ? WORDS_PX : 0);
  const inside = marks.filter((time) => time >= from_s && time <= to_s);
  const seen = sparse(inside, toTime(MARKS_APART_PX, scale));
  const lines = seen.map((time) => {
    const x = toX(time, scale);
    return svg("line", { class: "eadnet-mark", x1: x, x2: x, y1: spoken.length ? floor_px : ribbon - 5, y2: ribbon });
  });
  const near = spoken.filter((word) => word.end_s >= from_s && word.start_s <= to_s);
  const texts = wordsWithRoom(near, (time) => toX(time, scale), LETTER_PX);
  return [...lines, ...texts.map(({ text, x }) => svg("text", { x: x + 3, y: floor_px + 10 }, text))];
}

/** The line of the levels, the area below it and the ribbon of feelings, each point in the colour of what is felt there. */
function curve({ track, readings, cross_fade_s }, scale) {
  const { width_px, height_px, floor_px: floor } = scale;
  const points = line(track, cross_fade_s, scale.duration_s);
  if (!points.length) return [];
  const colors = readings.map(colorOf);
  const level = (i) => levelOf(track[i], readings[i]);
  const mixed = ({ index: i, share }) => (i && share < 1 ? share * level(i) + (1 - share) * level(i - 1) : level(i));
  const paint = svg("linearGradient", { id: `eadnet-feelings-${n_lanes++}`, gradientUnits: "userSpaceOnUse", x1: 0, x2: width_px, y1: 0, y2: 0 });
  paint.append(...points.map((p) => svg("stop", { offset: toX(p.time, scale) / width_px, style: `stop-color: ${colorAt(colors, p)}` })));
  const url = `url(#${paint.id})`;
  const corners = points.map((p) => `${toX(p.time, scale)},${levelToY(mixed(p), scale)}`);
  const area = svg("polygon", { class: "eadnet-area", fill: url, points: [`0,${floor}`, ...corners, `${width_px},${floor}`].join(" ") });
  const ribbon = svg("rect", { class: "eadnet-ribbon", fill: url, x: 0, y: height_px - LABELS_PX - RIBBON_PX, width: width_px, height: RIBBON_PX });
  const stems = track.map(({ time }) => {
    const x = toX(time, scale);
    return svg("line", { class: "eadnet-stem", x1: x, x2: x, y1: RULER_PX, y2: height_px });
  });
  return [paint, area, ribbon, ...stems, svg("polyline", { class: "eadnet-curve", stroke: url, points: corners.join(" ") })];
}

/** The colour at a point of the line. */
function colorAt(colors, { index, share }) {
  if (!index || share === 1) return colors[index];
  return `color-mix(in srgb, ${colors[index]} ${Math.round(100 * share)}%, ${colors[index - 1]})`;
}

function playhead({ playhead_s }, scale) {
  const x = toX(playhead_s, scale);
  return svg("line", { class: "eadnet-playhead", x1: x, x2: x, y1: 0, y2: scale.height_px });
}
