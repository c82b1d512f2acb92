/** The picture of an emotion track: ruler, waveform, intensities, handles. It draws what it is given and keeps nothing. */

import { el, svg } from "./dom.js";
import { colorOf, levelOf } from "./feelings.js";
import { clock, ticks, toX, wavePath } from "./timeline.js";
import { fadeOf, line } from "./transitions.js";

export const LANE_PX = { ruler: 16, ribbon: 5, labels: 18 };
const HANDLE_PX = 7;
let n_lanes = 0;

/** Pixels from the top of a lane of `height_px` for a level, and back. */
export function levelToY(level, height_px) {
  const { top, room } = levels(height_px);
  return top + (1 - level) * room;
}

export function yToLevel(y, height_px) {
  const { top, room } = levels(height_px);
  return Math.min(Math.max(1 - (y - top) / room, 0), 1);
}

function levels(height_px) {
  const top = LANE_PX.ruler + HANDLE_PX;
  return { top, room: Math.max(height_px - top - LANE_PX.ribbon - LANE_PX.labels - HANDLE_PX, 1) };
}

/**
 * Draws a track into `lane`.
 *
 * state  {track, readings, selected, playhead_s, cross_fade_s, sound: {wave, duration_s} | null, words, isLocked}
 * scale  {duration_s, width_px, height_px}
 */
export function drawLane(lane, state, scale) {
  const { width_px, height_px } = scale;
  const picture = svg("svg", { viewBox: `0 0 ${width_px} ${height_px}`, "aria-hidden": "true" });
  picture.append(...waveform(state, scale), ...ruler(scale), ...curve(state, scale), playhead(state, scale));
  lane.querySelector("svg")?.remove();
  lane.prepend(picture);
  labels(lane, state, scale);
  handles(lane, state, scale);
  fadeGrip(lane, state, scale);
}

/** Moves the playhead alone, as it does many times a second. */
export function movePlayhead(lane, playhead_s, scale) {
  const line = lane.querySelector(".eadnet-playhead");
  for (const end of ["x1", "x2"]) line?.setAttribute(end, toX(playhead_s, scale));
}

function waveform({ sound }, scale) {
  if (!sound) return [];
  const { width_px, height_px } = scale;
  const end = toX(sound.duration_s, scale);
  const room = height_px - LANE_PX.ruler - LANE_PX.ribbon - LANE_PX.labels;
  const path = svg("path", { class: "eadnet-wave", d: wavePath(sound.wave, end, room) });
  path.setAttribute("transform", `translate(0 ${LANE_PX.ruler})`);
  const beyond = { class: "eadnet-silence", x: end, y: 0, width: Math.max(width_px - end, 0), height: height_px };
  return [path, svg("rect", beyond)];
}

function ruler(scale) {
  const all = ticks(scale);
  const digits = all.length > 1 && all[1] < 1 ? 1 : 0;
  return all.flatMap((time) => {
    const x = toX(time, scale);
    const line = svg("line", { class: "eadnet-tick", x1: x, x2: x, y1: 0, y2: scale.height_px });
    return [line, svg("text", { x: x + 3, y: 11 }, clock(time, digits))];
  });
}

/** The line of the levels, the area below it and the ribbon of feelings, each point in the colour of what is felt there. */
function curve({ track, readings, cross_fade_s }, scale) {
  const { width_px, height_px } = scale;
  const points = line(track, cross_fade_s, scale.duration_s);
  if (!points.length) return [];
  const colors = readings.map(colorOf);
  const level = (i) => levelOf(track[i], readings[i]);
  const mixed = ({ index: i, share }) => (i && share < 1 ? share * level(i) + (1 - share) * level(i - 1) : level(i));
  const paint = svg("linearGradient", { id: `eadnet-feelings-${n_lanes++}`, gradientUnits: "userSpaceOnUse", x1: 0, x2: width_px, y1: 0, y2: 0 });
  paint.append(...points.map((p) => svg("stop", { offset: toX(p.time, scale) / width_px, style: `stop-color: ${colorAt(colors, p)}` })));
  const url = `url(#${paint.id})`;
  const corners = points.map((p) => `${toX(p.time, scale)},${levelToY(mixed(p), height_px)}`);
  const floor = height_px - LANE_PX.labels - LANE_PX.ribbon;
  const area = svg("polygon", { class: "eadnet-area", fill: url, points: [`0,${floor}`, ...corners, `${width_px},${floor}`].join(" ") });
  const ribbon = svg("rect", { class: "eadnet-ribbon", fill: url, x: 0, y: floor, width: width_px, height: LANE_PX.ribbon });
  const stems = track.map(({ time }) => {
    const x = toX(time, scale);
    return svg("line", { class: "eadnet-stem", x1: x, x2: x, y1: LANE_PX.ruler, y2: height_px });
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

function labels(lane, { track, readings, selected, words }, scale) {
  for (const old of lane.querySelectorAll(".eadnet-label, .eadnet-hint")) old.remove();
  if (!track.length) lane.append(el("div", { className: "eadnet-hint", textContent: words.no_keyframes }));
  for (const [i, { time, text }] of track.entries()) {
    const x = toX(time, scale);
    const end = i + 1 < track.length ? toX(track[i + 1].time, scale) : scale.width_px;
    const label = el("span", { className: "eadnet-label eadnet-ellipsis", textContent: text });
    label.setAttribute("aria-current", i === selected);
    label.style.cssText = `left:${x}px;max-width:${end - x}px;--feel:${colorOf(readings[i])}`;
    lane.append(label);
  }
}

/** Handles are kept from drawing to drawing, so that the one in use keeps the keyboard's focus. */
function handles(lane, { track, readings, selected, words, isLocked }, scale) {
  const found = [...lane.querySelectorAll(".eadnet-handle")];
  for (const extra of found.splice(track.length)) extra.remove();
  while (found.length < track.length) {
    found.push(el("button", { className: "eadnet-handle", type: "button", role: "slider" }));
    lane.append(found.at(-1));
  }
  for (const [i, keyframe] of track.entries()) {
    const handle = found[i];
    handle.dataset.keyframe = i;
    handle.dataset.level = keyframe.intensity === null ? "words" : "set";
    handle.style.left = `${toX(keyframe.time, scale)}px`;
    handle.style.top = `${levelToY(levelOf(keyframe, readings[i]), scale.height_px)}px`;
    handle.style.setProperty("--feel", colorOf(readings[i]));
    handle.title = `${clock(keyframe.time)} ${keyframe.text}`;
    const spoken = {
      current: i === selected,
      disabled: isLocked,
      label: [`${words.keyframe} ${i + 1}: ${keyframe.text}`, readings[i] && words.choice(readings[i].label)].filter(Boolean).join(", "),
      valuemin: 0,
      valuemax: scale.duration_s,
      valuenow: keyframe.time,
      valuetext: `${clock(keyframe.time)}, ${words.intensity} ${keyframe.intensity ?? words.as_words}`,
    };
    for (const [name, value] of Object.entries(spoken)) handle.setAttribute(`aria-${name}`, value);
  }
}

/** Where the fade into the selected keyframe begins; kept as handles are. */
function fadeGrip(lane, { track, readings, selected, cross_fade_s, words, isLocked }, scale) {
  const found = lane.querySelector(".eadnet-fade");
  if (selected < 1) return found?.remove();
  const grip = found ?? el("button", { className: "eadnet-fade", type: "button", role: "slider", title: words.fade_grip });
  if (!found) lane.append(grip);
  const fade_s = fadeOf(track, selected, cross_fade_s);
  grip.style.left = `${toX(track[selected].time - fade_s, scale)}px`;
  grip.style.top = `${levelToY(levelOf(track[selected - 1], readings[selected - 1]), scale.height_px)}px`;
  grip.style.setProperty("--feel", colorOf(readings[selected]));
  grip.dataset.fade = selected;
  const most_s = track[selected].time - track[selected - 1].time;
  const spoken = { label: words.fade, valuemin: 0, valuemax: most_s.toFixed(2), valuenow: fade_s.toFixed(2), valuetext: `${fade_s.toFixed(2)} s`, disabled: isLocked };
  for (const [name, value] of Object.entries(spoken)) grip.setAttribute(`aria-${name}`, value);
}
