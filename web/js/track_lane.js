/** What lies on the picture of an emotion track and can be taken hold of: labels, keyframes, the fade, the region to repeat. */

import { el } from "./dom.js";
import { colorOf, levelOf } from "./feelings.js";
import { clock, toX } from "./timeline.js";
import { drawPicture, levelToY } from "./track_picture.js";
import { fadeOf } from "./transitions.js";

/**
 * Draws a track into `lane`.
 *
 * state  as of `drawPicture`, and {selected, said, isLocked}
 * scale  as of `drawPicture`
 */
export function drawLane(lane, state, scale) {
  lane.querySelector("svg")?.remove();
  lane.prepend(drawPicture(state, scale));
  labels(lane, state, scale);
  handles(lane, state, scale);
  fadeGrip(lane, state, scale);
  loopGrips(lane, state, scale);
}

/** Moves the playhead alone, as it does many times a second. */
export function movePlayhead(lane, playhead_s, scale) {
  const line = lane.querySelector(".eadnet-playhead");
  for (const end of ["x1", "x2"]) line?.setAttribute(end, toX(playhead_s, scale));
}

/** The elements of a class in the lane, as many as `n`, kept from drawing to drawing: one may be in use. */
function kept(lane, name, n, make) {
  const found = [...lane.querySelectorAll(`.${name}`)];
  for (const extra of found.splice(n)) extra.remove();
  while (found.length < n) {
    found.push(make(found.length));
    found.at(-1).classList.add(name);
    lane.append(found.at(-1));
  }
  return found;
}

function labels(lane, { track, readings, selected, said, isLocked }, scale) {
  const hint = () => el("div", { textContent: said.no_keyframes });
  kept(lane, "eadnet-hint", track.length || isLocked ? 0 : 1, hint);
  const found = kept(lane, "eadnet-label", track.length, () => el("span", { className: "eadnet-ellipsis" }));
  for (const [i, { time, text }] of track.entries()) {
    const x = toX(time, scale);
    const end = i + 1 < track.length ? toX(track[i + 1].time, scale) : scale.width_px;
    found[i].textContent = text;
    found[i].dataset.label = i;
    found[i].setAttribute("aria-current", i === selected);
    found[i].style.cssText = `left:${x}px;max-width:${end - x}px;--feel:${colorOf(readings[i])}`;
  }
}

function handles(lane, { track, readings, selected, said, isLocked }, scale) {
  const found = kept(lane, "eadnet-handle", track.length, () => el("button", { type: "button", role: "slider" }));
  for (const [i, keyframe] of track.entries()) {
    const handle = found[i];
    handle.dataset.keyframe = i;
    handle.dataset.level = keyframe.intensity === null ? "words" : "set";
    handle.style.left = `${toX(keyframe.time, scale)}px`;
    handle.style.top = `${levelToY(levelOf(keyframe, readings[i]), scale)}px`;
    handle.style.setProperty("--feel", colorOf(readings[i]));
    handle.title = `${clock(keyframe.time)} ${keyframe.text}`;
    const aria = {
      current: i === selected,
      disabled: isLocked,
      label: [`${said.keyframe} ${i + 1}: ${keyframe.text}`, readings[i] && said.choice(readings[i].label)].filter(Boolean).join(", "),
      valuemin: 0,
      valuemax: scale.duration_s,
      valuenow: keyframe.time,
      valuetext: `${clock(keyframe.time)}, ${said.intensity} ${keyframe.intensity ?? said.as_words}`,
    };
    for (const [name, value] of Object.entries(aria)) handle.setAttribute(`aria-${name}`, value);
  }
}

/** Where the fade into the selected keyframe begins. */
function fadeGrip(lane, { track, readings, selected, cross_fade_s, said, isLocked }, scale) {
  const make = () => el("button", { type: "button", role: "slider", title: said.fade_grip });
  const [grip] = kept(lane, "eadnet-fade", selected > 0 ? 1 : 0, make);
  if (!grip) return;
  const fade_s = fadeOf(track, selected, cross_fade_s);
  grip.style.left = `${toX(track[selected].time - fade_s, scale)}px`;
  grip.style.top = `${levelToY(levelOf(track[selected - 1], readings[selected - 1]), scale)}px`;
  grip.style.setProperty("--feel", colorOf(readings[selected]));
  grip.dataset.fade = selected;
  const most_s = track[selected].time - track[selected - 1].time;
  const aria = { valuemin: 0, valuemax: most_s.toFixed(2), valuenow: fade_s.toFixed(2), valuetext: `${fade_s.toFixed(2)} s` };
  for (const [name, value] of Object.entries({ ...aria, label: said.fade, disabled: isLocked })) grip.setAttribute(`aria-${name}`, value);
}

/** Start and end of the region that is repeated. */
function loopGrips(lane, { loop, said }, scale) {
  const make = (i) => el("button", { type: "button", role: "slider", title: [said.loop_start, said.loop_end][i] });
  for (const [i, grip] of kept(lane, "eadnet-loop-grip", loop ? 2 : 0, make).entries()) {
    const time = i ? loop.end_s : loop.start_s;
    grip.style.left = `${toX(time, scale)}px`;
    grip.dataset.loop = i ? "end_s" : "start_s";
    const aria = { label: grip.title, valuemin: 0, valuemax: scale.duration_s, valuenow: time.toFixed(2), valuetext: clock(time) };
    for (const [name, value] of Object.entries(aria)) grip.setAttribute(`aria-${name}`, value);
  }
}
