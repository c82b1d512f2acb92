import assert from "node:assert/strict";
import { test } from "node:test";
import { nextMark, onsets, snapTo, sparse, wordsWithRoom } from "../../web/js/marks.js";
import { Wave } from "../../web/js/waveform.js";

const RATE_HZ = 8000;

/** A tone that is loud from..to of each burst, [from_s, to_s, level], over noise. */
function sound(bursts, { duration_s = 3, noise = 0.001 } = {}) {
  let seed = 1;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647 - 0.5;
  return new Wave(
    Float32Array.from({ length: duration_s * RATE_HZ }, (_, i) => {
      const burst = bursts.find(([from, to]) => i / RATE_HZ >= from && i / RATE_HZ < to);
      return 2 * noise * random() + (burst?.[2] ?? 0) * Math.sin((2 * Math.PI * 150 * i) / RATE_HZ);
    }),
    duration_s,
  );
}

test("a voice sets in where it begins after a pause, to a hundredth of a second or two", () => {
  const found = onsets(sound([[0.5, 0.9, 1], [1.204, 1.5, 0.4], [2, 2.6, 0.8]]));
  assert.equal(found.length, 3);
  for (const [i, wanted] of [0.5, 1.204, 2].entries()) assert.ok(Math.abs(found[i] - wanted) <= 0.02, `${found}`);
});

test("it sets in again after a dip, and not with every swell", () => {
  assert.equal(onsets(sound([[0.5, 0.8, 0.8], [0.8, 0.86, 0.05], [0.86, 1.4, 0.9]])).length, 2);
  assert.equal(onsets(sound([[0.5, 0.8, 0.6], [0.8, 1.1, 0.9], [1.1, 1.6, 0.5]])).length, 1);
});

test("silence has no onsets, noise begins with the sound, and a voice in noise has its own", () => {
  assert.deepEqual(onsets(sound([])), [0]);
  assert.deepEqual(onsets(new Wave(new Float32Array(RATE_HZ), 1)), []);
  assert.deepEqual(onsets(new Wave([], 0.001)), []);
  const [first, ...more] = onsets(sound([[1, 2, 1]], { noise: 0.1 }));
  assert.ok(Math.abs(first - 1) <= 0.02 && !more.length);
});

test("a time snaps to the nearest mark within reach", () => {
  assert.equal(snapTo(1.07, [0.5, 1, 1.1], 0.1), 1.1);
  assert.equal(snapTo(0.7, [0.5, 1], 0.1), 0.7);
  assert.equal(snapTo(0.7, [], 0.1), 0.7);
});

test("from mark to mark, each once", () => {
  const marks = [0.5, 1, 1.1];
  assert.deepEqual([nextMark(0.5, marks, 1), nextMark(0.5, marks, -1), nextMark(1.05, marks, -1), nextMark(2, marks, 1)], [1, undefined, 1, undefined]);
});

test("marks that would touch are drawn as one", () => {
  assert.deepEqual(sparse([0, 0.1, 0.3, 0.35, 0.7], 0.25), [0, 0.3, 0.7]);
  assert.deepEqual(sparse([], 1), []);
});

test("words are written where there is room for all of their letters", () => {
  const words = ["one", "two", "three"].map((text, i) => ({ text, start_s: i }));
  const at = (px_per_s) => wordsWithRoom(words, (s) => s * px_per_s, 5).map(({ text }) => text);
  assert.deepEqual(at(100), ["one", "two", "three"]);
  assert.deepEqual(at(12), ["one", "three"]);
});
