// Draws pictures and plays sound by one clock.
import { Schedule } from "./schedule.js";

export class Player {
  /** canvas, what the server said in its hello, and the portrait as an ImageBitmap. */
  constructor(canvas, hello, portrait) {
    [canvas.width, canvas.height] = [hello.width, hello.height];
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.context.drawImage(portrait, 0, 0);
    this.hello = hello;
    this.schedule = new Schedule(hello.fps);
    this.pictures = [];
    this.shown = 0;
    this.audio = null;
    this.wasRunning = false;
    requestAnimationFrame(() => this.draw());
  }

  /** The sound may be played from now on: browsers want a click first. */
  begin(isHeard) {
    if (!this.audio) {
      this.audio = new AudioContext();
      this.gain = this.audio.createGain();
      this.gain.connect(this.audio.destination);
    }
    this.audio.resume();
    this.hear(isHeard);
  }

  hear(isHeard) {
    if (this.gain) this.gain.gain.value = isHeard ? 1 : 0;
  }

  get isRunning() {
    return this.audio !== null && this.audio.state === "running";
  }

  /** Seconds on the clock that sound is scheduled by; the wall's while no sound is played. */
  now() {
    if (this.isRunning !== this.wasRunning) {
      this.wasRunning = this.isRunning;
      this.schedule.forget();
      this.pictures.forEach((p) => p.bitmap.close());
      this.pictures = [];
    }
    return this.isRunning ? this.audio.currentTime : performance.now() / 1000;
  }

  /** Take a chunk; returns the seconds until its first picture is seen. */
  async add({ header, pictures, sound }) {
    const bitmaps = await Promise.all(pictures.map((blob) => createImageBitmap(blob)));
    const now = this.now();
    const at = this.schedule.place(header.start, now);
    if (this.isRunning) this.play(sound, at);
    bitmaps.forEach((bitmap, i) => this.pictures.push({ bitmap, at: at + (i * header.every) / this.hello.fps }));
    return at - now + this.lag();
  }

  play(sound, at) {
    const buffer = this.audio.createBuffer(1, sound.length, this.hello.sample_rate_hz);
    buffer.copyToChannel(sound, 0);
    const source = this.audio.createBufferSource();
    source.buffer = buffer;
    source.connect(this.gain);
    source.start(Math.max(at, this.audio.currentTime));
  }

  /** From when a sound is due until it is heard: the picture waits for as long. */
  lag() {
    return this.isRunning ? this.audio.outputLatency || this.audio.baseLatency || 0 : 0;
  }

  draw() {
    const now = this.now() - this.lag();
    let due = null;
    while (this.pictures.length && this.pictures[0].at <= now) {
      due?.bitmap.close();
      due = this.pictures.shift();
    }
    if (due) {
      const [left, top] = this.hello.box;
      this.context.drawImage(due.bitmap, left, top);
      due.bitmap.close();
      this.shown += 1;
    }
    requestAnimationFrame(() => this.draw());
  }
}
