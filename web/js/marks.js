/** Times that a keyframe may snap to: the words of a transcript, or where the voice sets in. */

const HOP_S = 0.01;
/** Relative to the loudest: below it nothing is heard, whatever the sound's own noise. */
const QUIET_DB = -45;
/** A noisy sound's voice begins so much above its noise, which is taken from the quietest fifth of it. */
const ABOVE_NOISE_DB = 10;
const NOISE_SHARE = 0.2;
/** The gate opens here at the latest, or a sound that is loud throughout would have none. */
const LOUD_DB = -20;
/** A voice sets in where it rises by so much in so long, and not twice in a moment. */
const RISE_DB = 9;
const RISE_HOPS = 6;
const APART_HOPS = 12;
/** Of a rise, the beginning is where it has left the quietest moment by so much. */
const BEGUN_DB = 2;

/** Seconds at which the voice sets in, after a pause or a dip, from a `Wave`. */
export function onsets(wave) {
  const n = Math.floor(wave.duration_s / HOP_S);
  const loud_db = wave.columns(0, n * HOP_S, n).map((level) => 20 * Math.log10(Math.max(level, 1e-3)));
  const noise_db = loud_db.toSorted((a, b) => a - b)[Math.floor(NOISE_SHARE * n)] ?? 0;
  const gate_db = Math.min(Math.max(noise_db + ABOVE_NOISE_DB, QUIET_DB), LOUD_DB);
  const found = [];
  for (let i = 0, next = 0; i < n; i++) {
    const before = loud_db.slice(Math.max(i - RISE_HOPS, 0), i);
    const least_db = before.length ? Math.min(...before) : -Infinity;
    if (i < next || loud_db[i] < gate_db || loud_db[i] - least_db < RISE_DB) continue;
    const lead = before.length - before.findLastIndex((db) => db <= least_db + BEGUN_DB) - 1;
    found.push(Math.round((i - lead) * HOP_S * 100) / 100);
    next = i + APART_HOPS;
  }
  return found;
}

/** The mark nearest to a time, where one is within `reach_s`; else the time. */
export function snapTo(time, marks, reach_s) {
  let best = time;
  let least_s = reach_s;
  for (const mark of marks) {
    const away_s = Math.abs(mark - time);
    if (away_s <= least_s) [best, least_s] = [mark, away_s];
  }
  return best;
}

/** The next mark after a time, or before it where `direction` is -1; undefined where there is none. */
export function nextMark(time, marks, direction) {
  const least_s = HOP_S / 2;
  return direction > 0 ? marks.find((m) => m > time + least_s) : marks.findLast((m) => m < time - least_s);
}

/** Of marks in order those that stand `least_s` apart, so that those of a long sound do not become a bar. */
export function sparse(marks, least_s) {
  let last = -Infinity;
  return marks.filter((time) => time - last >= least_s && ((last = time), true));
}

/** The words of which there is room for all letters, [{text, x}], when a letter takes `letter_px`. */
export function wordsWithRoom(spoken, toX, letter_px) {
  let free = -Infinity;
  return spoken.flatMap(({ text, start_s }) => {
    const x = toX(start_s);
    if (x < free) return [];
    free = x + (text.length + 1) * letter_px;
    return [{ text, x }];
  });
}
