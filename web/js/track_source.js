/** Where an emotion track is kept: in the JSON of its node's widget, or in another node's, which is seen after a run. */

import { button, el } from "./dom.js";
import { isLinked } from "./graph_walk.js";
import { setValue } from "./host.js";
import { formatTrack, parseTrack } from "./keyframes.js";

export class TrackSource {
  /** Why the JSON is no track, or null. */
  problem = null;
  #written = null;
  /** JSON of the last run, which is the track where another node gives it. */
  #ran = null;

  constructor(node, widget) {
    Object.assign(this, { node, widget });
  }

  /** Whether the keyframes are another node's, and can be looked at alone. */
  get isLocked() {
    return isLinked(this.node, "keyframes");
  }

  get hasRun() {
    return Boolean(this.#ran);
  }

  get json() {
    return (this.isLocked ? this.#ran : this.widget.value) ?? "";
  }

  /** Takes from the node's run its keyframes. */
  takeRun(json) {
    this.#ran = json ?? null;
  }

  /** The track, where it is another one than was read or written last; else null. */
  read() {
    if (this.json === this.#written) return null;
    this.#written = this.json;
    this.problem = null;
    try {
      return parseTrack(this.json);
    } catch (error) {
      this.problem = error.message;
      return [];
    }
  }

  write(track) {
    this.problem = null;
    this.#written = formatTrack(track); // before the widget says that it has changed
    setValue(this.node, this.widget, this.#written);
  }

  /** Cuts the link that gives the keyframes, and keeps them. */
  takeOver() {
    const { json } = this;
    this.node.disconnectInput(this.node.inputs.findIndex((input) => input.name === "keyframes"));
    if (json) setValue(this.node, this.widget, json);
  }
}

/** The row that says why a track cannot be edited, with what to do about it. */
export class SourceNotice {
  constructor(words, { onMend, onTakeOver }) {
    this.words = words;
    this.said = el("span", { className: "eadnet-grow" });
    this.mend = button(words.mend, "", onMend);
    this.taking = button(words.take_over, words.take_over_hint, onTakeOver);
    this.root = el("div", { className: "eadnet-row eadnet-bad", hidden: true }, this.said, this.mend, this.taking);
  }

  show({ isLocked, hasRun, problem }) {
    const linked = isLocked ? [this.words.linked, hasRun ? "" : this.words.run_to_see].join(" ") : "";
    this.root.hidden = !isLocked && !problem;
    this.root.classList.toggle("eadnet-bad", Boolean(problem));
    this.said.textContent = problem ?? linked;
    this.mend.hidden = !problem || isLocked;
    this.taking.hidden = !isLocked || !hasRun;
  }
}
