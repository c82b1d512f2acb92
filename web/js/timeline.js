/**
 * Where a time is on the screen and back: the arithmetic of the track editor's lane.
 *
 * A scale is {duration_s, width_px}: the whole lane, which scrolls inside its frame when it is zoomed. Levels are
 * shares 0 (bottom) .. 1 (top).
 */

const TICK_STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
/** The lane's length without sound. */
const EMPTY_S = 10;

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

/** Seconds of the ruler's marks, at least `gap_px` apart. */
export function ticks({ duration_s, width_px }, gap_px = 56) {
  const least_s = (gap_px * duration_s) / width_px;
  const step = TICK_STEPS_S.find((s) => s >= least_s) ?? Math.ceil(least_s / 600) * 600;
  const n = Math.floor(duration_s / step + 1e-9) + 1;
  return Array.from({ length: n }, (_, i) => Number((i * step).toFixed(3)));
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

/** The loudest sample of each of `n` equal parts, 0 .. 1 of the loudest of all; silence stays 0. */
export function peaks(samples, n) {
  const found = Array.from({ length: n }, (_, i) => {
    let most = 0;
    const end = Math.floor(((i + 1) * samples.length) / n);
    for (let j = Math.floor((i * samples.length) / n); j < end; j++) most = Math.max(most, Math.abs(samples[j]));
    return most;
  });
  const loudest = Math.max(...found, 0);
  return loudest > 0 ? found.map((p) => p / loudest) : found;
}

/** The loudest peak under each pixel of `width_px`, from the peaks of the whole sound. */
export function columns(wave, width_px) {
  return Array.from({ length: Math.max(0, Math.round(width_px)) }, (_, x) => {
    const first = Math.min(Math.floor((x / width_px) * wave.length), wave.length - 1);
    const end = Math.max(first + 1, Math.floor(((x + 1) / width_px) * wave.length));
    return Math.max(0, ...wave.slice(first, end));
  });
}

/** SVG path of a waveform that is mirrored around the middle of `height_px`. */
export function wavePath(wave, width_px, height_px) {
  const middle = height_px / 2;
  const half = columns(wave, width_px).map((p) => Math.max(p * middle, 0.5));
  const above = half.map((h, x) => `${x},${(middle - h).toFixed(1)}`);
  const below = half.map((h, x) => `${x},${(middle + h).toFixed(1)}`).reverse();
  return half.length ? `M${above.join("L")}L${below.join("L")}Z` : "";
}
