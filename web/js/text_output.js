/** Report and text outputs of the pack's nodes, shown in the node when it has run. */

import { el } from "./dom.js";
import { addPanel, announce, follow, grow } from "./host.js";

const COPIED_MS = 1200;
const FOLDED_PX = 24;
const UNFOLDED_PX = 84;

/** Shows what the node's run says as {"text": [...]}; the panel comes with the first text. */
export function showTextOutput(node, words) {
  let text = null;
  let about = null;
  follow(node, "onExecuted", (output) => {
    if (output?.eadnet_about?.length) {
      about ??= addAboutPanel(node);
      about.show(output.eadnet_about.join("\n"));
    }
    if (!output?.text?.length) return;
    text ??= addTextPanel(node, words);
    text.textContent = output.text.join("\n");
  });
}

/** What a model says of itself, its first line to be seen and the rest, such as the licence, folded away. */
function addAboutPanel(node) {
  const summary = el("summary", { className: "eadnet-ellipsis" });
  const rest = el("div", { className: "eadnet-about" });
  const details = el("details", { className: "eadnet-details" }, summary, rest);
  const widget = addPanel(node, "about", el("div", { className: "eadnet" }, details), FOLDED_PX);
  details.addEventListener("toggle", () => {
    const height = details.open ? UNFOLDED_PX : FOLDED_PX;
    widget.options.getMinHeight = () => height;
    widget.options.getMaxHeight = () => height;
    widget.element.style.minHeight = `${height}px`;
    grow(node);
  });
  widget.options.getMaxHeight = () => FOLDED_PX;
  grow(node);
  announce(node);
  return {
    show(text) {
      const [first, ...others] = text.split("\n");
      summary.textContent = summary.title = first;
      rest.textContent = others.join("\n");
    },
  };
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
