import assert from "node:assert/strict";
import { test } from "node:test";
import { labelSides, nearest, step, toPlace, toPoint, withWord } from "../../web/js/pad_plane.js";
import { EMOTIONS } from "./emotions.mjs";

test("places and points are each other's inverse; up is excited, right is pleasant", () => {
  for (const emotion of EMOTIONS) {
    const { valence, arousal } = emotion;
    assert.deepEqual(toPoint(toPlace(emotion)), { valence, arousal });
  }
  assert.deepEqual(toPoint({ x: 1, y: 0 }), { valence: 1, arousal: 1 });
});

test("what leaves the pad stays on its edge", () => {
  assert.deepEqual(toPoint({ x: 1.4, y: -3 }), { valence: 1, arousal: 1 });
  assert.deepEqual(step({ valence: 0.98, arousal: -1 }, 0.05, -0.05), { valence: 1, arousal: -1 });
  assert.ok(Object.is(step({ valence: 0.05, arousal: 0 }, -0.05, 0).valence, 0));
});

test("each emotion is the nearest to itself", () => {
  for (const emotion of EMOTIONS) assert.equal(nearest(emotion, EMOTIONS), emotion);
  assert.equal(nearest({ valence: 0.1, arousal: 0.1 }, EMOTIONS).name, "neutral");
});

test("labels of neighbours go to different sides, and none leaves the pad", () => {
  const sides = Object.fromEntries(labelSides(EMOTIONS).map((side, i) => [EMOTIONS[i].name, side]));
  assert.equal(sides.happy, "left");
  assert.notEqual(sides.angry, sides.fear);
  assert.equal(sides.neutral, "right");
});

test("a word replaces the emotion at the prompt's end, and keeps the artist's words", () => {
  assert.equal(withWord("", "happy", EMOTIONS), "happy");
  assert.equal(withWord("Sad", "happy", EMOTIONS), "happy");
  assert.equal(withWord("at a funeral", "sad", EMOTIONS), "at a funeral, sad");
  assert.equal(withWord("at a funeral, sad", "fear", EMOTIONS), "at a funeral, fear");
});
