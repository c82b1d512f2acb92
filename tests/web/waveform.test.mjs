import assert from "node:assert/strict";
import { test } from "node:test";
import { Wave, wavePath } from "../../web/js/waveform.js";

const close = (found, wanted, by = 1 / 255) => found.forEach((v, i) => assert.ok(Math.abs(v - wanted[i]) <= by, `${found} / ${wanted}`));

test("each part shows its loudest sample, relative to the loudest of all", () => {
  const wave = new Wave(Float32Array.of(0, 0.25, -0.5, 0.1), 4);
  close(wave.columns(0, 4, 4), [0, 0.5, 1, 0.2]);
  close(wave.columns(0, 4, 2), [0.5, 1]);
  close(wave.columns(2, 3, 1), [1]);
});

test("no click of a long sound is lost however far it is zoomed out, and none is made up", () => {
  const samples = new Float32Array(800_000);
  const clicks = [0, 7, 123_456, 640_003, 799_999];
  for (const at of clicks) samples[at] = -1;
  const wave = new Wave(samples, 100);
  for (const n of [1, 7, 480, 960, 12_345]) {
    const heights = wave.columns(0, 100, n);
    assert.ok(clicks.every((at) => heights[Math.min(Math.floor((at / 800_000) * n), n - 1)] === 1 || heights.includes(1)));
    assert.ok(heights.filter((h) => h === 1).length <= 2 * clicks.length, `${n}`);
  }
  assert.deepEqual(wave.columns(15.432, 15.433, 8).map(Math.round), [1, 0, 0, 0, 0, 0, 0, 0]);
});

test("between far values it runs straight, so that it has no steps at any zoom", () => {
  const wave = new Wave([0, 1, 0, 1], 4);
  const heights = wave.columns(0.5, 1.5, 100);
  assert.ok(heights.every((h, i) => !i || (h > heights[i - 1] && h - heights[i - 1] < 0.011)));
});

test("beyond the sound, and where there is none, it is silent", () => {
  const wave = new Wave([1, 1], 2);
  assert.deepEqual(wave.columns(-2, 4, 3).map(Math.round), [0, 1, 0]);
  assert.deepEqual(wave.columns(1.9, 2.1, 100).map(Math.round).slice(60), Array(40).fill(0));
  assert.deepEqual(new Wave(new Float32Array(64), 1).columns(0, 1, 3), [0, 0, 0]);
  assert.deepEqual(new Wave([], 1).columns(0, 1, 2), [0, 0]);
});

test("a waveform is a closed path around the middle", () => {
  assert.equal(wavePath([1, 1], 10, 1, 10), "M10.50,0.0L11.50,0.0L11.50,10.0L10.50,10.0Z");
  assert.equal(wavePath([], 0, 1, 10), "");
});
