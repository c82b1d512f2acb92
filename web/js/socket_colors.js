/** Colours of the pack's own sockets and their links: three to one, at least, on the nodes of a dark page and of a light one. */

import { addStyle, app } from "./host.js";

export const SOCKETS = {
  EAD_MODEL: "#8b7ae0",
  EAD_FACE: "#c4732b",
  EAD_AUDIO: "#3393c4",
  EAD_EMOTION: "#d9639f",
  EAD_LATENTS: "#6f9a32",
  EAD_MOTION: "#2c967f",
  EAD_STYLE: "#94862a",
  EAD_SPEAKERS: "#cc6660",
};

/** Colours sockets and links, on the canvas and in Nodes 2.0. */
export function colorSockets() {
  addStyle(`:root { ${Object.entries(SOCKETS).map(([type, color]) => `--color-datatype-${type}: ${color};`).join(" ")} }`);
  const { canvas } = app;
  for (const table of [canvas.default_connection_color_byType, canvas.constructor.link_type_colors]) {
    // A palette that is chosen later empties the colours of all types that it does not know.
    for (const [type, get] of Object.entries(SOCKETS).map(([t, color]) => [t, () => color])) {
      Object.defineProperty(table, type, { get, set() {}, enumerable: true, configurable: true });
    }
  }
}
