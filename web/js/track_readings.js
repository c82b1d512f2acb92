/** How the keyframes of tracks are read, asked of the server once for each wording on the page. */

import { ask } from "./ask.js";
import { keyOf, toRead } from "./feelings.js";
import { Newest, oneAtATime } from "./newest.js";

const DELAY_MS = 200;
/** As nodes/track_route.py takes at once. */
const MOST = 200;

const known = new Map();
const gate = oneAtATime();

/** What is known of keyframes; `onRead()` hears that more of it is. */
export class Readings {
  #newest;

  constructor(onRead) {
    this.#newest = new Newest({
      delay_ms: DELAY_MS,
      run: (keyframes, signal) => gate(() => readings(keyframes, signal), signal),
      onResult: (found, keyframes) => {
        for (const [i, keyframe] of keyframes.entries()) known.set(JSON.stringify(keyframe), found[i]);
        onRead();
      },
      onError: () => {}, // without readings all keyframes have one colour
    });
  }

  /** The reading of a keyframe, or null. */
  of(keyframe) {
    return known.get(keyOf(keyframe)) ?? null;
  }

  /** Asks for what is not known of a track. */
  ask(track) {
    const wanted = new Map(track.filter((k) => toRead(k) && !known.has(keyOf(k))).map((k) => [keyOf(k), toRead(k)]));
    if (wanted.size) this.#newest.ask([...wanted.values()].slice(0, MOST));
  }

  close() {
    this.#newest.cancel();
  }
}

async function readings(keyframes, signal) {
  return (await (await ask("/eadnet/track", { keyframes }, signal)).json()).readings;
}
