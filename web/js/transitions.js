/** How a track gets from one keyframe to the next: how long that takes, and along which curve. */

/** As eadnet_core/emotion/track.py has them, and how far each has come where `x` 0 .. 1 of its time has passed. */
const CURVES = {
  linear: (x) => x,
  smooth: (x) => x * x * (3 - 2 * x),
  in: (x) => x * x,
  out: (x) => x * (2 - x),
};
export const EASES = Object.keys(CURVES);

/** A fade cannot be shorter: one frame of video. */
export const LEAST_FADE_S = 0.04;
/** Straight pieces that a curve is drawn as. */
const PIECES = 12;

/** 0 .. 1 of a fade, where `x` 0 .. 1 of its time has passed. */
export function eased(x, ease) {
  return CURVES[ease](x);
}

/** Seconds that the fade into keyframe `index` takes: at most all the time since the one before; 0 for the first. */
export function fadeOf(track, index, cross_fade_s) {
  if (index < 1) return 0;
  const gap = track[index].time - track[index - 1].time;
  return Math.min(Math.max(track[index].fade_s ?? cross_fade_s, LEAST_FADE_S), gap);
}

/**
 * Points of the line that a track follows over a clip, [{time, index, share}]: at `time` it is by `share` 0 .. 1 what
 * keyframe `index` says, and for the rest what the one before says.
 */
export function line(track, cross_fade_s, duration_s) {
  if (!track.length) return [];
  const points = [{ time: 0, index: 0, share: 1 }];
  for (const [index, { time, ease }] of track.entries()) {
    const fade_s = fadeOf(track, index, cross_fade_s);
    const pieces = index === 0 ? 0 : ease === "linear" ? 1 : PIECES;
    for (let i = 0; i < pieces; i++) {
      points.push({ time: time - fade_s * (1 - i / pieces), index, share: eased(i / pieces, ease) });
    }
    points.push({ time, index, share: 1 });
  }
  return [...points, { time: Math.max(duration_s, track.at(-1).time), index: track.length - 1, share: 1 }];
}
