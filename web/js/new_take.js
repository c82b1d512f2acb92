/** Another performance by one press: a seed is drawn, and the graph runs. */

import { isLinked, widgetOf } from "./graph_walk.js";
import { app, commit, setValue } from "./host.js";

/** Seeds that a text box shows whole. */
const SEEDS = 1e9;

/** Adds the button to a node that has a seed. */
export function addNewTake(node, words) {
  const seed = widgetOf(node, "seed");
  const take = node.addWidget("button", "new_take", null, () => {
    if (!isLinked(node, "seed")) setValue(node, seed, Math.floor(Math.random() * SEEDS));
    commit();
    app.queuePrompt(0);
  });
  take.label = words.new_take;
  take.serialize = false; // not in the workflow's positional list of values
  take.options.serialize = false; // nor in the prompt
}
