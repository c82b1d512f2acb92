/**
 * Where a time is on the screen and back: the arithmetic of the track editor's lane.
 *
 * A scale is {duration_s, width_px}: the whole lane, which scrolls inside its frame when it is zoomed.
 */

const TICK_STEPS_S = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
/** The lane's length without sound. */
const EMPTY_S = 10;
const MOST_PX_PER_S = 1000;
const LEAST_LOOP_S = 0.1;

/** Seconds that the lane shows: the sound, and the last keyframe where that is later. */
export function laneLength(track, sound_s) {
  const last_s = track.at(-1)?.time ?? 0;
  return Math.max(last_s, sound_s ?? Math.max(EMPTY_S, Math.ceil(last_s + 1)));
}

/** Pixels from the left edge of the lane. */
export function toX(time, { duration_s, width_px }) {
  return (time / duration_s) * width_px;
}

/** Seconds at a distance in pixels from the left edge of the lane, within the clip. */
export function toTime(x, { duration_s, width_px }) {
  return Math.min(Math.max(x / width_px, 0), 1) * duration_s;
}

/** Seconds of the ruler's marks from one time to another, at least `gap_px` apart. */
export function ticks({ duration_s, width_px }, gap_px = 56, from_s = 0, to_s = duration_s) {
  const least_s = (gap_px * duration_s) / width_px;
  const step = TICK_STEPS_S.find((s) => s >= least_s) ?? Math.ceil(least_s / 600) * 600;
  const first = Math.ceil(Math.max(from_s, 0) / step - 1e-9);
  const n = Math.floor(Math.min(to_s, duration_s) / step + 1e-9) - first + 1;
  return Array.from({ length: Math.max(n, 0) }, (_, i) => Number(((first + i) * step).toFixed(3)));
}

/** How often a lane that is `width_px` wide may be doubled: a second is then as wide as MOST_PX_PER_S at most. */
export function mostZoom(duration_s, width_px) {
  return Math.max(0, Math.ceil(Math.log2((MOST_PX_PER_S * duration_s) / width_px)));
}

/** A region to repeat between two times, in order and no shorter than a moment, inside the clip; null for a shorter one. */
export function region(a_s, b_s, duration_s) {
  const inside = (s) => Math.min(Math.max(s, 0), duration_s);
  const [start_s, end_s] = [inside(Math.min(a_s, b_s)), inside(Math.max(a_s, b_s))];
  return end_s - start_s >= LEAST_LOOP_S ? { start_s, end_s } : null;
}

/** 75.5 -> "1:15.50"; with `digits` 0, "1:15". */
export function clock(time, digits = 2) {
  const unit = 10 ** digits;
  const all = Math.round(time * unit);
  const minutes = Math.floor(all / (60 * unit));
  const seconds = ((all - minutes * 60 * unit) / unit).toFixed(digits);
  return `${minutes}:${seconds.padStart(digits ? digits + 3 : 2, "0")}`;
}

/** Index of the keyframe whose mark is nearest to x, or -1 when none is within `reach_px`. */
export function hit(track, x, scale, reach_px = 7) {
  const away = track.map((k) => Math.abs(toX(k.time, scale) - x));
  const nearest = away.indexOf(Math.min(...away));
  return nearest >= 0 && away[nearest] <= reach_px ? nearest : -1;
}

/** Which way a drag goes, decided once it is `least_px` long: "time", "intensity" or null. */
export function dragAxis(dx, dy, least_px = 4) {
  if (Math.hypot(dx, dy) < least_px) return null;
  return Math.abs(dx) >= Math.abs(dy) ? "time" : "intensity";
}
