/** What the instant preview asks the server for: the emotion in a node's widgets, and the portrait of its graph. */

import { fileOf, freeValue, isLinked, isWire, partnerOf, sourceOf, widgetOf } from "./graph_walk.js";

export const PREVIEWED = ["EADNet_EmotionPrompt", "EADNet_Speak"];
/** Widgets whose change asks for a new preview. */
export const WATCHED = ["text", "preset", "intensity", "valence", "arousal", "use_pad"];

const STRINGS = ["PrimitiveString", "PrimitiveStringMultiline"];
/** A second of video. */
const STRIP_FRAMES = 25;

/** The body for POST /eadnet/preview; null where the words come from a node that has to run first. */
export function previewRequest(node, root, { isStrip }) {
  const text = textOf(node, root);
  if (text === undefined || isLinked(node, "emotion")) return null;
  const emotion = Object.fromEntries(WATCHED.map((name) => [name, freeValue(node, name)]));
  if (!emotion.use_pad) delete emotion.valence, delete emotion.arousal;
  const request = { ...portraitOf(node, root), ...emotion, text, frames: isStrip ? STRIP_FRAMES : 1 };
  return Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined));
}

function textOf(node, root) {
  if (!isLinked(node, "text")) return widgetOf(node, "text")?.value ?? "";
  const source = sourceOf(node, "text", STRINGS, root, isWire);
  return source ? freeValue(source, "value") : undefined;
}

/**
 * {image, subfolder, type, box} of the portrait that this node's emotion will be seen on; {} where none is loaded.
 * Beyond a node that does not `passes` no file is looked for.
 */
export function portraitOf(node, root, passes) {
  const face = widgetOf(node, "image") || node.inputs?.some((i) => i.name === "image") ? node : partnerOf(node, "EADNet_Face", root);
  const loader = face && sourceOf(face, "image", ["LoadImage"], root, passes);
  const file = loader && fileOf(freeValue(loader, "image"));
  if (!file) return {};
  const { filename: image, subfolder, type } = file;
  return { image, subfolder, type, box: freeValue(face, "box") || undefined };
}
