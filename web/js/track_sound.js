/** The sound behind a track: found in the graph or taken from a run, played, and a region of it repeated. */

import { ask } from "./ask.js";
import { freeValue, isLinked, isWire, sourceOf } from "./graph_walk.js";
import { app, viewUrl } from "./host.js";
import { onsets } from "./marks.js";
import { Player, readSound, soundFile } from "./sound.js";
import { Wave } from "./waveform.js";

const STRINGS = ["PrimitiveString", "PrimitiveStringMultiline"];
/** Two sounds of the same length, give or take what a decoder pads. */
const SAME_LENGTH_S = 0.1;

export class TrackSound {
  wave = null;
  /** [{text, start_s, end_s}] of the transcript. */
  spoken = [];
  #file = null;
  #onsets = [];
  #transcript = "";

  /** `onChange()` hears of another sound or other words, `onTime(seconds)` and `onState(is_playing)` of the player. */
  constructor(node, words, { onChange, onTime, onState, onProblem }) {
    Object.assign(this, { node, said: words, onChange, onProblem });
    this.player = new Player({ onTime, onState });
  }

  get duration_s() {
    return this.wave?.duration_s;
  }

  /** Seconds that a keyframe may snap to: where words begin, or else where the voice sets in. */
  get marks() {
    return this.spoken.length ? this.spoken.map((word) => word.start_s) : this.#onsets;
  }

  /** Looks for the file that the node's sound comes from, and for its transcript. */
  find() {
    this.#findSound();
    this.#findWords();
  }

  /** Takes what a run has heard: loudness of equal parts of the sound, and [text, start_s, end_s] of its words. */
  take(loudness, duration_s, words) {
    if (words) this.#setWords(words);
    if (!loudness?.length || !duration_s) return this.onChange();
    const isSame = this.wave && Math.abs(this.wave.duration_s - duration_s) < SAME_LENGTH_S;
    if (!isSame) {
      this.player.open(null); // the file is not what the node hears
      this.#setWave(new Wave(loudness, duration_s));
    }
    this.onProblem("");
    this.onChange();
  }

  close() {
    this.player.open(null);
  }

  async #findSound() {
    const file = soundFile(this.node, "audio", app.rootGraph ?? app.graph);
    const key = file && viewUrl(file);
    if (key === this.#file) return;
    this.#file = key;
    this.#setWave(null);
    this.player.open(null);
    this.onProblem(key ? "" : isLinked(this.node, "audio") ? this.said.unreadable : this.said.no_sound);
    if (!key) return;
    const wave = await readSound(key).catch(() => undefined);
    if (key !== this.#file) return; // another sound was connected meanwhile
    if (wave === null) this.#file = null; // it may come: samples are copied when their workflow opens
    this.#setWave(wave ?? null);
    if (wave) this.player.open(key);
    else this.onProblem(this.said.unreadable);
    this.onChange();
  }

  async #findWords() {
    const source = sourceOf(this.node, "transcript", STRINGS, app.rootGraph ?? app.graph, isWire);
    const known = source && freeValue(source, "value");
    const text = isLinked(this.node, "transcript") ? (known ?? null) : ""; // null: it comes with a run
    if (text === this.#transcript) return;
    this.#transcript = text;
    this.spoken = [];
    if (!text?.trim()) return this.onChange();
    try {
      const answer = await (await ask("/eadnet/track", { keyframes: [], transcript: text })).json();
      if (text === this.#transcript) this.#setWords(answer.words);
    } catch (error) {
      if (text === this.#transcript) this.onProblem(error.message);
    }
    this.onChange();
  }

  #setWave(wave) {
    this.wave = wave;
    this.#onsets = wave ? onsets(wave) : [];
  }

  #setWords(spoken) {
    this.spoken = spoken.map(([text, start_s, end_s]) => ({ text, start_s, end_s }));
  }
}
