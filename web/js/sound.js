/** The sound that feeds a node, read by the page itself, so that its waveform is there before any run. */

import { fileOf, freeValue, sourceOf } from "./graph_walk.js";
import { peaks } from "./timeline.js";

/** Core's loaders, and the widget that names their file. */
const LOADERS = { LoadAudio: "audio", LoadVideo: "file" };
/** Enough for a waveform, and little memory for a long clip. */
const RATE_HZ = 8000;
const PEAKS_PER_S = 50;

/** The file behind input `name` of a node as {filename, subfolder, type}, or null. */
export function soundFile(node, name, root) {
  const loader = sourceOf(node, name, Object.keys(LOADERS), root);
  return loader && fileOf(freeValue(loader, LOADERS[loader.type]));
}

/** {wave, duration_s} of a sound or video file at an address; null where there is none, and throws where it cannot be read. */
export async function readSound(address) {
  const response = await fetch(address);
  if (!response.ok) return null;
  const decoder = new OfflineAudioContext(1, 1, RATE_HZ);
  const sound = await decoder.decodeAudioData(await response.arrayBuffer());
  const n = Math.max(1, Math.round(sound.duration * PEAKS_PER_S));
  return { wave: peaks(sound.getChannelData(0), n), duration_s: sound.duration };
}

/** Plays the sound of an address and tells where it is, many times a second: `onTime(seconds)`, `onState(is_playing)`. */
export class Player {
  #audio = null;

  constructor({ onTime, onState }) {
    Object.assign(this, { onTime, onState });
  }

  get isReady() {
    return this.#audio !== null;
  }

  get isPlaying() {
    return Boolean(this.#audio && !this.#audio.paused && !this.#audio.ended);
  }

  /** Takes another sound, from its start; null for none. */
  open(address) {
    this.pause();
    this.#audio = address ? new Audio(address) : null;
  }

  /** Plays from a time on. */
  async play(from_s) {
    const audio = this.#audio;
    if (!audio) return;
    audio.currentTime = from_s < (audio.duration || Infinity) ? from_s : 0;
    await audio.play();
    this.onState(true);
    this.#follow(audio);
  }

  pause() {
    this.#audio?.pause();
    this.onState(false);
  }

  seek(time) {
    if (this.#audio) this.#audio.currentTime = time;
  }

  #follow(audio) {
    if (audio !== this.#audio || !this.isPlaying) return this.onState(false);
    this.onTime(audio.currentTime);
    requestAnimationFrame(() => this.#follow(audio));
  }
}
