// When chunks are shown: one clock for sound and picture, so that they stay together.

/** Seconds between a chunk's arrival and its first picture: what evens out chunks that come unevenly. */
export const LEAD_S = 0.1;
/** A chunk that would wait longer than this is shown sooner, so that no delay builds up. */
export const MOST_WAIT_S = 0.8;

/** Where time zero of the session lies on the listener's clock. */
export class Schedule {
  constructor(fps) {
    this.fps = fps;
    this.base = null;
    this.jumps = 0;
  }

  /** Another clock: the next chunk begins anew. */
  forget() {
    this.base = null;
  }

  /** When a chunk that starts with picture `start` is shown, on a clock that says `now`, in seconds. */
  place(start, now) {
    const at = start / this.fps;
    const wait = this.base === null ? -1 : this.base + at - now;
    if (wait < 0.005 || wait > MOST_WAIT_S) {
      this.base = now + LEAD_S - at;
      this.jumps += 1;
    }
    return this.base + at;
  }
}
