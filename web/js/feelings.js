/**
 * What is shown of the feelings that the words of keyframes ask for: colours and levels.
 *
 * A reading is what the server says of a keyframe: {label, intensity, shares: {feeling: 0 .. 1}, note?}.
 */

/** Level of a keyframe that is as strong as its words ask, until these have been read. */
const UNREAD_LEVEL = 0.7;
/** A keyframe with these words follows the voice. */
const AUTO = "auto";

/** What the server is to read of a keyframe, {code} or {text}; null where the voice decides. */
export function toRead({ text, code }) {
  if (code) return { code };
  return text.trim().toLowerCase() === AUTO ? null : { text };
}

/** Under which its reading is kept. */
export function keyOf(keyframe) {
  return JSON.stringify(toRead(keyframe));
}

/** Level 0 .. 1 at which a keyframe is drawn. */
export function levelOf({ intensity }, reading) {
  return intensity ?? Math.min(reading?.intensity ?? UNREAD_LEVEL, 1);
}

/** A reading as a colour of the style sheet; what is not read has the accent's. */
export function colorOf(reading) {
  const shares = Object.entries(reading?.shares ?? {});
  if (!shares.length) return "var(--accent)";
  let sum = 0;
  return shares.reduce((mixed, [name, share]) => {
    const color = `var(--feel-${name}, var(--accent))`;
    sum += share;
    return mixed ? `color-mix(in srgb, ${color} ${Math.round((100 * share) / sum)}%, ${mixed})` : color;
  }, "");
}
