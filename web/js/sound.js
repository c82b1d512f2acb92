/** The sound that feeds a node, read by the page itself, so that its waveform is there before any run. */

import { fileOf, freeValue, sourceOf } from "./graph_walk.js";
import { Wave } from "./waveform.js";

/** Core's loaders, and the widget that names their file. */
const LOADERS = { LoadAudio: "audio", LoadVideo: "file" };
/** Enough for a waveform at any zoom: an hour of it is 33 MB. */
const RATE_HZ = 8000;

/** The file behind input `name` of a node as {filename, subfolder, type}, or null. */
export function soundFile(node, name, root) {
  const loader = sourceOf(node, name, Object.keys(LOADERS), root);
  return loader && fileOf(freeValue(loader, LOADERS[loader.type]));
}

/** The `Wave` of a sound or video file at an address; null where there is none, and throws where it cannot be read. */
export async function readSound(address) {
  const response = await fetch(address);
  if (!response.ok) return null;
  const decoder = new OfflineAudioContext(1, 1, RATE_HZ);
  const sound = await decoder.decodeAudioData(await response.arrayBuffer());
  return new Wave(sound.getChannelData(0), sound.duration);
}

/** Plays the sound of an address and tells where it is, many times a second: `onTime(seconds)`, `onState(is_playing)`. */
export class Player {
  /** {start_s, end_s} that is played again and again, or null. */
  loop = null;
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
    const { start_s = 0, end_s = Infinity } = this.loop ?? {};
    const end = Math.min(end_s, audio.duration || Infinity);
    audio.currentTime = from_s >= start_s && from_s < end ? from_s : start_s;
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
    const isOver = audio.ended || (this.loop && audio.currentTime >= this.loop.end_s);
    if (audio === this.#audio && this.loop && isOver) return this.play(this.loop.start_s);
    if (audio !== this.#audio || !this.isPlaying) return this.onState(false);
    this.onTime(audio.currentTime);
    requestAnimationFrame(() => this.#follow(audio));
  }
}
