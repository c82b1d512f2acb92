/** Values of the expression editor's sliders, and the files they are shared as. */

const FORMAT = "eadnet_expression";
const VERSION = 1;

/** Sliders by where they stand in the panel. */
export const GROUPS = {
  feelings: ["neutral", "happy", "sad", "angry", "fear", "disgusted", "surprised", "contempt"],
  brows: ["brow_inner", "brow_outer", "brow_lower"],
  eyes: ["lids", "squint", "gaze_x", "gaze_y"],
  cheeks: ["cheeks", "nose"],
  mouth: ["corners", "dimple", "upper_lip", "jaw", "lips_open", "lips_width", "lips_press", "chin"],
  head: ["yaw", "pitch", "roll"],
};
export const SLIDERS = Object.values(GROUPS).flat();

/** Values without those that are 0. */
export function posed(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value));
}

/** A preset as a file's text. */
export function formatPreset(values) {
  return JSON.stringify({ [FORMAT]: VERSION, values: posed(values) }, null, 2);
}

/**
 * The values of every slider, from a preset's text.
 *
 * limits  {name: {min, max}} of the sliders there are
 * Throws Error(one of the words' names) with `said`, what it is about.
 */
export function parsePreset(text, limits) {
  const fail = (word, said = "") => {
    throw Object.assign(new Error(word), { said });
  };
  let data;
  try {
    data = JSON.parse(text);
  } catch {
    fail("preset_no_json");
  }
  const values = data?.values;
  if (data?.[FORMAT] !== VERSION || typeof values !== "object" || values === null || Array.isArray(values)) fail("preset_other");
  for (const [name, value] of Object.entries(values)) {
    if (!Object.hasOwn(limits, name)) fail("preset_unknown", name.slice(0, 40));
    const { min, max } = limits[name];
    if (typeof value !== "number" || !(value >= min && value <= max)) {
      fail("preset_range", `${name}: ${JSON.stringify(value).slice(0, 40)} (${min} .. ${max})`);
    }
  }
  return Object.fromEntries(Object.keys(limits).map((name) => [name, values[name] ?? 0]));
}
