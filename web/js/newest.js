/**
 * Ask often, compute seldom: the newest request after a moment of quiet, one at a time over the whole page.
 */

/**
 * Runs the newest of many requests.
 *
 * `ask(request)` waits for `delay_ms` without another ask, then calls `run(request, signal)`; a newer ask aborts the signal
 * of an older one. `onStart`, `onResult` and `onError` hear of the newest request alone. The same request as the one
 * shown or under way is not run again, unless `ask` is told to `force` it.
 */
export class Newest {
  #timer = null;
  #controller = null;
  #key = null;

  constructor({ delay_ms, run, onStart = () => {}, onResult, onError }) {
    Object.assign(this, { delay_ms, run, onStart, onResult, onError });
  }

  ask(request, { force = false } = {}) {
    const key = JSON.stringify(request);
    if (key === this.#key && !force) return;
    this.cancel();
    this.#key = key;
    this.#timer = setTimeout(() => this.#start(request), this.delay_ms);
  }

  /** Forgets what was asked; what is under way is aborted and not heard of again. */
  cancel() {
    clearTimeout(this.#timer);
    this.#controller?.abort();
    this.#controller = this.#key = null;
  }

  async #start(request) {
    const controller = (this.#controller = new AbortController());
    this.onStart(request);
    try {
      const result = await this.run(request, controller.signal);
      if (!controller.signal.aborted) this.onResult(result, request);
    } catch (error) {
      if (controller.signal.aborted) return;
      this.#key = null; // what failed may be asked again
      this.onError(error, request);
    }
  }
}

/**
 * A gate that lets one task through at a time, in the order of arrival: `gate(task, signal)` resolves as the task does.
 * A task whose signal is aborted while it waits is never started, and rejects with the signal's reason.
 */
export function oneAtATime() {
  let last = Promise.resolve();
  return (task, signal) => {
    const turn = last.then(() => {
      signal?.throwIfAborted();
      return task();
    });
    last = turn.catch(() => {});
    return turn;
  };
}

/**
 * Runs requests as fast as they are answered: one at a time, and of those that come meanwhile the newest alone.
 *
 * Unlike `Newest` it waits for no quiet and aborts nothing, so that a slider that is dragged shows pictures all the way.
 */
export class Live {
  #isRunning = false;
  #next = null;
  #key = null;

  constructor({ run, onResult, onError }) {
    Object.assign(this, { run, onResult, onError });
  }

  ask(request) {
    const key = JSON.stringify(request);
    if (key === this.#key) return;
    this.#key = key;
    if (this.#isRunning) this.#next = request;
    else this.#start(request);
  }

  /** Forgets what waits; an answer that is under way is not heard of. */
  cancel() {
    this.#next = this.#key = null;
  }

  async #start(request) {
    this.#isRunning = true;
    const key = JSON.stringify(request);
    try {
      const result = await this.run(request);
      if (this.#key !== null) this.onResult(result, request);
    } catch (error) {
      if (this.#key === key) this.#key = null; // what failed may be asked again
      if (!this.#next) this.onError(error, request);
    }
    this.#isRunning = false;
    const next = this.#next;
    this.#next = null;
    if (next) this.#start(next);
  }
}
