import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addKeyframe,
  around,
  editKeyframe,
  formatTrack,
  indexAt,
  moveKeyframe,
  parseTrack,
  removeKeyframe,
  snap,
} from "../../web/js/keyframes.js";

const usual = { fade_s: null, ease: "linear" };
const calm = { time: 0, text: "calm", intensity: null, ...usual };
const furious = { time: 2, text: "furious", intensity: 0.8, fade_s: 0.4, ease: "smooth" };
const sad = { time: 4.5, text: "sad", intensity: 1, ...usual };
const track = Object.freeze([calm, furious, sad].map(Object.freeze));

test("what is written is read back", () => {
  assert.deepEqual(parseTrack(formatTrack(track)), track);
  assert.equal(formatTrack([calm]), '[{"time":0,"text":"calm"}]');
  assert.equal(formatTrack([furious]), '[{"time":2,"text":"furious","intensity":0.8,"fade_s":0.4,"ease":"smooth"}]');
});

test("what the Director writes is kept, to the letter of its names and numbers", () => {
  const written = '[{"time_s": 0.0, "text": "calm", "fade_s": 0.4, "ease": "smooth"}, {"time_s": 1.237, "text": "sad", "intensity": 0.5, "fade_s": 0, "ease": "out"}]';
  const [first, second] = parseTrack(written);
  assert.deepEqual(first, { time: 0, text: "calm", intensity: null, fade_s: 0.4, ease: "smooth" });
  assert.deepEqual(second, { time: 1.237, text: "sad", intensity: 0.5, fade_s: 0, ease: "out" });
  assert.deepEqual(parseTrack(formatTrack([first, second])), [first, second]);
});

test("a code is kept until its words are written anew", () => {
  const [given] = parseTrack('[{"time": 1, "code": [0.5, 1]}]');
  assert.deepEqual(given, { time: 1, text: "", intensity: null, ...usual, code: [0.5, 1] });
  assert.deepEqual(JSON.parse(formatTrack(moveKeyframe([given], 0, 2)[0])), [{ time: 2, text: "", code: [0.5, 1] }]);
  assert.deepEqual(editKeyframe([given], 0, { text: "sad" }), [{ time: 1, text: "sad", intensity: null, ...usual }]);
});

test("a track is sorted, and says what it leaves out", () => {
  const read = parseTrack('[{"time": 3, "text": "b", "intensity": 0.5}, {"time_s": 1}]');
  assert.deepEqual(read, [{ time: 1, text: "", intensity: null, ...usual }, { time: 3, text: "b", intensity: 0.5, ...usual }]);
  assert.deepEqual(parseTrack("  "), []);
  assert.deepEqual(parseTrack('"amused"'), [{ time: 0, text: "amused", intensity: null, ...usual }]);
});

test("what cannot be a track is refused with its reason", () => {
  const cases = {
    "{oops": /not JSON/,
    "7": /must be a list/,
    "[5]": /Keyframe 0 needs a "time"/,
    '[{"time": -1}]': /Keyframe 0 needs a "time"/,
    '[{"time": 1}, {"time": "2"}]': /Keyframe 1 needs a "time"/,
    '[{"time": 1, "text": 3}]': /"text" of keyframe 0/,
    '[{"time": 1, "intensity": 1.5}]': /"intensity" of keyframe 0/,
    '[{"time": 1}, {"time": 1}]': /Two keyframes stand at 1 s/,
    '[{"time": 1, "fade_s": -1}]': /"fade_s" of keyframe 0/,
    '[{"time": 1, "ease": "bounce"}]': /"ease" of keyframe 0 must be one of linear, smooth, in, out/,
    "[null]": /Keyframe 0 needs a "time"/,
  };
  for (const [json, reason] of Object.entries(cases)) assert.throws(() => parseTrack(json), reason, json);
});

test("times snap to hundredths inside the clip", () => {
  assert.equal(snap(1.23456), 1.23);
  assert.equal(snap(-0.3), 0);
  assert.equal(snap(9, 6.407), 6.4);
});

test("the keyframe in force is the last that has begun, before all the first", () => {
  assert.deepEqual([0, 1.9, 2, 4.4, 99].map((t) => indexAt(track, t)), [0, 0, 1, 1, 2]);
  assert.equal(indexAt(track.slice(1), 0.5), 0);
  assert.equal(indexAt([], 1), -1);
});

test("what is felt at a time depends on the keyframe in force and the next alone", () => {
  const texts = (time) => around(track, time).map((k) => k.text);
  assert.deepEqual([0, 1.9, 2, 9].map(texts), [["calm", "furious"], ["calm", "furious"], ["furious", "sad"], ["sad"]]);
  assert.deepEqual(around(track.slice(1), 0.5).map((k) => k.text), ["furious"]);
  assert.deepEqual(around([], 1), []);
});

test("a new keyframe copies the one in force and never lands on another", () => {
  const [more, index] = addKeyframe(track, 3);
  assert.equal(index, 2);
  assert.deepEqual(more[2], { ...furious, time: 3 });
  assert.equal(track.length, 3);
  assert.deepEqual(addKeyframe([], 1.234), [[{ time: 1.23, text: "", intensity: null, ...usual }], 0]);
  assert.equal(addKeyframe(track, 2)[0][2].time, 2.01);
  assert.equal(addKeyframe(track, 4.5, 4.5)[0][2].time, 4.49);
});

test("a keyframe passes its neighbours, keeps the order and stays in the clip", () => {
  const [moved, index] = moveKeyframe(track, 0, 3);
  assert.deepEqual(moved.map((k) => k.text), ["furious", "calm", "sad"]);
  assert.equal(index, 1);
  assert.deepEqual(moveKeyframe(track, 1, 100, 6)[0].map((k) => k.time), [0, 4.5, 6]);
  assert.deepEqual(moveKeyframe(track, 1, -5)[0].map((k) => k.time), [0, 0.01, 4.5]);
  assert.deepEqual(moveKeyframe(track, 1, 2)[0], track);
});

test("many keyframes at one spot still get a time each", () => {
  let crowd = [];
  for (let i = 0; i < 20; i++) [crowd] = addKeyframe(crowd, 0.1, 0.12);
  const times = crowd.map((k) => k.time);
  assert.equal(new Set(times).size, 20);
  assert.deepEqual(times, times.toSorted((a, b) => a - b));
});

test("editing and removing leave the rest as it is", () => {
  assert.deepEqual(editKeyframe(track, 1, { intensity: null })[1], { ...furious, intensity: null });
  assert.deepEqual(removeKeyframe(track, 1), [calm, sad]);
  assert.equal(track[1].intensity, 0.8);
});
