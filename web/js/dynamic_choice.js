/**
 * Choices that bring fields of their own, in Nodes 2.0.
 *
 * After the first change of any value ComfyUI 0.8's page goes on showing the fields of an earlier choice, and it never
 * writes back what is typed into a field that a choice has brought. Announced anew, a node is taken as it is.
 */

import { announce, follow } from "./host.js";

/** Keeps the fields that a node shows those of its choices. */
export function keepFields(node) {
  const choices = node.widgets?.filter(({ name }) => node.widgets.some((w) => w.name.startsWith(`${name}.`))) ?? [];
  if (!choices.length) return;
  const renew = () => setTimeout(() => announce(node)); // when the choice has changed the fields
  for (const choice of choices) follow(choice, "callback", renew);
  follow(node, "onConfigure", renew);
  renew();
}
