/** The valence/arousal plane: from pixels to feelings and back. Points are {valence, arousal}, each -1 .. 1. */

/** Closer than this in both, and the labels of two points on the same side would cover one another. */
const CROWDED = { valence: 0.5, arousal: 0.18 };
const TOO_FAR_RIGHT = 0.5;

/** Share of the pad's width and height, from its top left corner: valence grows to the right, arousal upwards. */
export function toPlace({ valence, arousal }) {
  return { x: (valence + 1) / 2, y: (1 - arousal) / 2 };
}

/** The point at a place; places outside the pad become its edge. Kept to hundredths, as the node's sliders are. */
export function toPoint({ x, y }) {
  return { valence: limit(2 * x - 1), arousal: limit(1 - 2 * y) };
}

/** A point moved by steps, within the plane. */
export function step({ valence, arousal }, by_valence, by_arousal) {
  return { valence: limit(valence + by_valence), arousal: limit(arousal + by_arousal) };
}

function limit(value) {
  return Math.round(Math.min(Math.max(value, -1), 1) * 100) / 100 + 0; // + 0: no minus zero
}

/** The emotion nearest to a point. */
export function nearest(point, emotions) {
  const away = (e) => Math.hypot(e.valence - point.valence, e.arousal - point.arousal);
  return emotions.reduce((best, e) => (away(e) < away(best) ? e : best));
}

/** "left" or "right" of its dot for each emotion's label, so that labels stay inside and apart. */
export function labelSides(emotions) {
  const crowds = (a, b) =>
    Math.abs(a.valence - b.valence) < CROWDED.valence && Math.abs(a.arousal - b.arousal) < CROWDED.arousal;
  return emotions.map((e) => {
    const isLeftOfPair = emotions.some((o) => o !== e && crowds(e, o) && e.valence < o.valence);
    return e.valence > TOO_FAR_RIGHT || isLeftOfPair ? "left" : "right";
  });
}

/** The prompt with an emotion's word: in place of another emotion's word at its end, else added after a comma. */
export function withWord(prompt, word, emotions) {
  const parts = prompt.split(",").map((part) => part.trim()).filter(Boolean);
  if (emotions.some((e) => e.name === parts.at(-1)?.toLowerCase())) parts.pop();
  return [...parts, word].join(", ");
}
