/** Another performance by one press: a seed is drawn, and the graph runs. */

import { drawSeed } from "./commands.js";
import { app, commit } from "./host.js";

/** Adds the button to a node that has a seed. */
export function addNewTake(node, words) {
  const take = node.addWidget("button", "new_take", null, () => {
    drawSeed(node);
    commit();
    app.queuePrompt(0);
  });
  take.label = words.new_take;
  take.serialize = false; // not in the workflow's positional list of values
  take.options.serialize = false; // nor in the prompt
}
