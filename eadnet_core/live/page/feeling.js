// Which feeling is on, and what changes it: words, or a point on the plane of valence and arousal.
import { EmotionPlane } from "./emotion_plane.js";
import { paced } from "./paced.js";

/** The server takes five requests a second. */
const PACE_MS = 250;
const WORDS = {
  pad: "Valence and arousal. Arrow keys move the point, with Shift in small steps",
  unpleasant: "unpleasant",
  pleasant: "pleasant",
  excited: "excited",
  calm: "calm",
  choice: (name) => name,
};
const BY = { words: "by the words", pad: "by the pad" };

export class Feeling {
  /** form, place and line are elements: with the words, for the pad, and for what is on. `ask` sends a request. */
  constructor({ form, place, line }, ask) {
    const [words] = form.elements;
    const point = paced(PACE_MS, ({ valence, arousal }) => ask({ feel_at: [valence, arousal] }));
    this.line = line;
    this.plane = new EmotionPlane(WORDS, { onMove: point });
    place.append(this.plane.element);
    form.onsubmit = (event) => {
      event.preventDefault();
      ask({ feel: words.value });
    };
  }

  setEmotions(emotions) {
    this.plane.setEmotions(emotions);
  }

  /** What the server says is on: {label, intensity, valence, arousal, by, note?}. */
  show(on) {
    const { label, intensity, valence, arousal, by, note } = on;
    this.line.textContent = note || `Now ${label}, ${Math.round(100 * intensity)} %, ${BY[by]}.`;
    this.line.parentElement.dataset.by = by;
    if (by === "words") this.plane.show({ valence, arousal }, label); // by the pad, the hand may be further already
  }
}
