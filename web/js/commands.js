/** What the pack adds to ComfyUI's commands, shortcuts and menu. */

import { isLinked, widgetOf } from "./graph_walk.js";
import { app, commit, setSetting, setValue, setting } from "./host.js";
import { SETTING } from "./preview.js";

/** Seeds that a text box shows whole. */
const SEEDS = 1e9;

export const COMMANDS = [
  { id: "EADNet.NewTake", label: "EAD-Net: new take of the open workflow", icon: "pi pi-refresh", function: newTake },
  { id: "EADNet.TogglePreview", label: "EAD-Net: instant preview on or off", icon: "pi pi-eye", function: togglePreview },
];
export const KEYBINDINGS = [
  { combo: { key: "t", alt: true, shift: true }, commandId: "EADNet.NewTake" },
  { combo: { key: "p", alt: true, shift: true }, commandId: "EADNet.TogglePreview" },
];
export const MENU = [{ path: ["EAD-Net"], commands: COMMANDS.map(({ id }) => id) }];

/** Draws a seed for a node that has one. */
export function drawSeed(node) {
  const seed = widgetOf(node, "seed");
  if (seed && !isLinked(node, "seed")) setValue(node, seed, Math.floor(Math.random() * SEEDS));
}

/** Draws a seed for every node of the pack that has one, and runs the graph. */
function newTake() {
  for (const node of everyNode(app.rootGraph ?? app.graph)) if (node.comfyClass?.startsWith("EADNet_")) drawSeed(node);
  commit();
  return app.queuePrompt(0);
}

function togglePreview() {
  return setSetting(SETTING, setting(SETTING) === false);
}

function* everyNode(graph) {
  for (const node of graph?.nodes ?? []) {
    yield node;
    if (node.subgraph) yield* everyNode(node.subgraph);
  }
}
