import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { EASES, LEAST_FADE_S, eased, fadeOf, line } from "../../web/js/transitions.js";

const track = [
  { time: 0, fade_s: null, ease: "linear" },
  { time: 2, fade_s: null, ease: "linear" },
  { time: 4.5, fade_s: 9, ease: "smooth" },
  { time: 6, fade_s: 0, ease: "out" },
];
const core = readFileSync(new URL("../../eadnet_core/emotion/track.py", import.meta.url), "utf8");

test("curves and the least fade are the core's", () => {
  const [, names] = /^EASES = \((.*)\)$/m.exec(core);
  assert.deepEqual(EASES, [...names.matchAll(/"(\w+)"/g)].map(([, name]) => name));
  assert.equal(LEAST_FADE_S, Number(/^LEAST_FADE_S = (.*)$/m.exec(core)[1]));
  const [, quarter] = /eased\(np\.full\(4, 0\.25\), np\.arange\(4\)\)\.tolist\(\)\n {4}(\[.*\])/.exec(core);
  assert.deepEqual(EASES.map((ease) => eased(0.25, ease)), JSON.parse(quarter));
  for (const ease of EASES) assert.deepEqual([eased(0, ease), eased(1, ease)], [0, 1]);
});

test("a fade is its keyframe's or the node's, no longer than there is time, and a frame at least", () => {
  assert.deepEqual(track.map((_, i) => fadeOf(track, i, 0.5)), [0, 0.5, 2.5, LEAST_FADE_S]);
  assert.deepEqual(track.map((_, i) => fadeOf(track, i, Infinity)), [0, 2, 2.5, LEAST_FADE_S]);
});

test("the line holds each keyframe until the fade to the next", () => {
  const points = line(track.slice(0, 2), 0.5, 6);
  assert.deepEqual(points.map(({ time, index, share }) => [time, index, share]), [[0, 0, 1], [0, 0, 1], [1.5, 1, 0], [2, 1, 1], [6, 1, 1]]);
  assert.deepEqual(line([], 1, 6), []);
  assert.equal(line(track, 0.5, 3).at(-1).time, 6);
});

test("a curve is drawn as many pieces, which rise from keyframe to keyframe", () => {
  const into = line(track, 0.5, 6).filter(({ index, time }) => index === 2 && time <= 4.5);
  assert.ok(into.length > 8);
  assert.deepEqual([into[0].time, into[0].share, into.at(-1).share], [2, 0, 1]);
  assert.ok(into.every(({ share }, i) => !i || share > into[i - 1].share));
});
