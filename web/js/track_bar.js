/** The row of buttons above the lane of a track editor, with the clock and what is to be said of the sound. */

import { button, el } from "./dom.js";
import { clock } from "./timeline.js";

/** `editor` has the words and the commands. */
export class Bar {
  constructor(editor) {
    const { words } = (this.editor = editor);
    this.playing = button("▶", words.play, () => editor.togglePlay());
    this.looping = button("∞", words.loop, () => editor.toggleLoop());
    this.clock = el("span", { className: "eadnet-clock", role: "timer", "aria-label": words.playhead });
    this.status = el("span", { className: "eadnet-grow eadnet-ellipsis eadnet-dim", role: "status" });
    this.adding = button("+◆", words.add, () => editor.add(editor.playhead_s));
    this.removing = button("×", words.delete, () => editor.remove());
    this.snapping = button("◆|", words.snap, () => editor.toggleSnap());
    this.facing = button("☺", words.face, () => editor.toggleFace());
    this.moving = button("∿", words.motion, () => editor.toggleMotion());
    this.farther = button("⊖", words.zoom_out, () => editor.zoom(-1));
    this.closer = button("⊕", words.zoom_in, () => editor.zoom(1));
    this.raw = button("{}", words.raw, () => editor.toggleRaw());
    const { playing, looping, status, adding, removing, snapping, facing, moving, farther, closer, raw } = this;
    const buttons = [adding, removing, snapping, facing, moving, farther, closer, raw];
    this.root = el("div", { className: "eadnet-row eadnet-bar" }, playing, looping, this.clock, status, ...buttons);
  }

  /** Shows which buttons can be pressed, and which are. */
  show({ isReady, isEditable, hasSelected, loop, isSnapping, isFacing, isMoving, isRaw, zoom, mostZoom }) {
    this.playing.disabled = !isReady;
    this.adding.disabled = !isEditable;
    this.removing.disabled = !isEditable || !hasSelected;
    this.farther.disabled = zoom === 0;
    this.closer.disabled = zoom >= mostZoom;
    const pressed = [[this.looping, Boolean(loop)], [this.snapping, isSnapping], [this.facing, isFacing], [this.moving, isMoving], [this.raw, isRaw]];
    for (const [part, is] of pressed) part.setAttribute("aria-pressed", is);
  }

  showTime(time, duration_s) {
    this.clock.textContent = `${clock(time)} / ${clock(duration_s)}`;
  }

  showPlaying(isPlaying) {
    this.playing.textContent = isPlaying ? "❚❚" : "▶";
    this.playing.title = isPlaying ? this.editor.words.pause : this.editor.words.play;
  }

  /** Says something of the sound; an empty text for nothing. */
  say(text) {
    this.status.textContent = this.status.title = text;
  }
}
