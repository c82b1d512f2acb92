/** Steps of a panel that can be undone and done again. */

const MOST_STEPS = 200;

/** States one after the other; each is what `JSON.stringify` makes of it. */
export class History {
  #states;
  #at = 0;

  constructor(state) {
    this.#states = [JSON.stringify(state)];
  }

  /** Keeps a state; what was undone before is forgotten. Returns whether it differs from the one before. */
  push(state) {
    const text = JSON.stringify(state);
    if (text === this.#states[this.#at]) return false;
    this.#states = [...this.#states.slice(0, this.#at + 1), text].slice(-MOST_STEPS);
    this.#at = this.#states.length - 1;
    return true;
  }

  /** The state before, or null. */
  undo() {
    return this.#go(-1);
  }

  /** The state after, or null. */
  redo() {
    return this.#go(1);
  }

  get canUndo() {
    return this.#at > 0;
  }

  get canRedo() {
    return this.#at < this.#states.length - 1;
  }

  #go(by) {
    const text = this.#states[this.#at + by];
    if (text === undefined) return null;
    this.#at += by;
    return JSON.parse(text);
  }
}
