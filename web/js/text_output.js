/** Report and text outputs of the pack's nodes, shown in the node when it has run. */

import { el } from "./dom.js";
import { addPanel, announce, follow, grow } from "./host.js";

const COPIED_MS = 1200;

/** Shows what the node's run says as {"text": [...]}; the panel comes with the first text. */
export function showTextOutput(node, words) {
  let text = null;
  follow(node, "onExecuted", (output) => {
    if (!output?.text?.length) return;
    text ??= addTextPanel(node, words);
    text.textContent = output.text.join("\n");
  });
}

function addTextPanel(node, words) {
  const text = el("pre", { className: "eadnet-text", tabIndex: 0 });
  text.addEventListener("wheel", (e) => text.scrollHeight > text.clientHeight && e.stopPropagation());
  const copy = el("button", { className: "eadnet-button", type: "button", textContent: words.copy });
  copy.onclick = async () => {
    await navigator.clipboard.writeText(text.textContent);
    copy.textContent = words.copied;
    setTimeout(() => (copy.textContent = words.copy), COPIED_MS);
  };
  const row = el("div", { className: "eadnet-row" }, el("span", { className: "eadnet-grow" }), copy);
  addPanel(node, "text_output", el("div", { className: "eadnet" }, text, row), 110);
  grow(node, 240);
  announce(node);
  return text;
}
