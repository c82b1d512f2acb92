/** The loudness of a sound, fast to draw at any zoom: of a whole clip or of a hundredth of a second. */

/** A level keeps one value for so many of the level below. */
const FOLD = 8;

export class Wave {
  /** Finest first: `levels[k]` holds the loudest of every FOLD^k values. */
  #levels;

  /**
   * values      loudness of equal parts of the sound, any array of numbers of any scale
   * duration_s  of the whole sound
   */
  constructor(values, duration_s) {
    this.duration_s = duration_s;
    this.#levels = [quantised(values)];
    while (this.#levels.at(-1).length > FOLD) this.#levels.push(folded(this.#levels.at(-1)));
  }

  /**
   * The loudest, 0 .. 1 of the loudest of all, in each of `n` equal parts of from_s .. to_s. Between values that are
   * farther apart than the parts it runs straight. Beyond the sound it is silent.
   */
  columns(from_s, to_s, n) {
    const part_s = (to_s - from_s) / n;
    const finest = this.#levels[0].length / this.duration_s; // values a second
    if (part_s * finest < 1) return Array.from({ length: n }, (_, i) => this.#between((from_s + (i + 0.5) * part_s) * finest));
    const k = Math.min(Math.floor(Math.log(part_s * finest) / Math.log(FOLD)), this.#levels.length - 1);
    const values = this.#levels[k];
    const rate = finest / FOLD ** k;
    return Array.from({ length: n }, (_, i) => {
      const start = Math.floor((from_s + i * part_s) * rate);
      const end = Math.min(Math.max(Math.floor((from_s + (i + 1) * part_s) * rate), start + 1), values.length);
      let most = 0;
      for (let j = Math.max(start, 0); j < end; j++) most = Math.max(most, values[j]);
      return most / 255;
    });
  }

  /** The loudness at a place among the finest values; each stands in the middle of its part. */
  #between(at) {
    const values = this.#levels[0];
    if (at < 0 || at >= values.length) return 0;
    const low = Math.min(Math.max(Math.floor(at - 0.5), 0), values.length - 1);
    const high = Math.min(low + 1, values.length - 1);
    const share = Math.min(Math.max(at - 0.5 - low, 0), 1);
    return ((1 - share) * values[low] + share * values[high]) / 255;
  }
}

/** Loudness as bytes, 255 for the loudest; silence stays 0. */
function quantised(values) {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  const found = new Uint8Array(values.length);
  if (most > 0) for (let i = 0; i < found.length; i++) found[i] = Math.round((255 * Math.abs(values[i])) / most);
  return found;
}

function folded(values) {
  const found = new Uint8Array(Math.ceil(values.length / FOLD));
  for (let i = 0; i < values.length; i++) found[Math.floor(i / FOLD)] = Math.max(found[Math.floor(i / FOLD)], values[i]);
  return found;
}

/** SVG path of heights 0 .. 1, `step_px` apart from `left_px` on, mirrored around the middle of `height_px`. */
export function wavePath(heights, left_px, step_px, height_px) {
  if (!heights.length) return "";
  const middle = height_px / 2;
  const half = heights.map((p) => Math.max(p * middle, 0.5));
  const x = (i) => (left_px + (i + 0.5) * step_px).toFixed(2);
  const above = half.map((h, i) => `${x(i)},${(middle - h).toFixed(1)}`);
  const below = half.map((h, i) => `${x(i)},${(middle + h).toFixed(1)}`).reverse();
  return `M${above.join("L")}L${below.join("L")}Z`;
}
