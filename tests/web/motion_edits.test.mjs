import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addBlink,
  addPoint,
  blinksOf,
  changeAt,
  formatEdits,
  moveBlink,
  movePoint,
  ownAt,
  parseEdits,
  removePoint,
  resetLane,
  setSmooth,
  toggleBlink,
  turnedAt,
  valueAt,
} from "../../web/js/motion_edits.js";

const blink = Array.from({ length: 100 }, (_, i) => (i >= 24 && i <= 26) || (i >= 74 && i <= 75) ? 1 : 0);
const MOTION = { fps: 25, tracks: { yaw: Array.from({ length: 100 }, (_, i) => i / 10), blink } };
const near = (a, b, by = 1e-6) => assert.ok(Math.abs(a - b) <= by, `${a} is not ${b}`);

test("edits are kept as the node reads them, and what changes nothing is left out", () => {
  const edits = { yaw: { smooth_s: 0.2, points: [[1, 5]] }, blinks: { add: [2], remove: [] } };
  assert.equal(formatEdits(edits), '{"yaw":{"smooth_s":0.2,"points":[[1,5]]},"blinks":{"add":[2]}}');
  assert.deepEqual(parseEdits(formatEdits(edits)), { yaw: edits.yaw, blinks: { add: [2] } });
  assert.equal(formatEdits({ yaw: { smooth_s: 0, points: [] }, blinks: { add: [], remove: [] } }), "");
  assert.deepEqual(parseEdits(" "), {});
  for (const json of ["[]", "5", "{", '{"ears": {}}', '{"yaw": 1}', '{"yaw": {"points": [[1]]}}', '{"blinks": {"add": ["1"]}}']) {
    assert.throws(() => parseEdits(json), json);
  }
});

test("a change goes through its points, is level there, and ends 0.6 s beyond them, as in the core", () => {
  assert.deepEqual([0, 0.4, 1, 1.6, 2].map((t) => changeAt([[1, 5]], t)), [0, 0, 5, 0, 0]);
  near(changeAt([[1, 5]], 0.7), 2.5);
  for (const apart of [0.1, 0.6, 1, 1.2, 3]) {
    const points = [[1, 4], [1 + apart, -2]];
    near(changeAt(points, 1), 4);
    near(changeAt(points, 1 + apart), -2);
  }
  near(changeAt([[1, 4], [1.9, 4]], 1.45), 2); // halfway between near and far
  assert.equal(changeAt([], 1), 0);
});

test("a motion is read between its frames, and beyond its ends it stays", () => {
  near(ownAt(MOTION, "yaw", 1), 2.45);
  assert.equal(ownAt(MOTION, "yaw", -5), 0);
  near(ownAt(MOTION, "yaw", 99), 9.9);
  assert.equal(ownAt(MOTION, "pitch", 1), 0);
  assert.equal(ownAt(null, "yaw", 1), 0);
  near(ownAt(MOTION, "yaw", 2, 0.4), ownAt(MOTION, "yaw", 2), 1e-6); // a straight line stays one
  near(ownAt({ fps: 25, tracks: { yaw: [3] } }, "yaw", 1, 1), 3);
});

test("a point puts the lane where it is dragged, and follows in time", () => {
  const [edits, index] = addPoint(MOTION, {}, "yaw", 2, -8);
  assert.equal(index, 0);
  near(valueAt(MOTION, edits, "yaw", 2), -8, 1e-3);
  const [moved] = movePoint(MOTION, edits, "yaw", 0, 3, 1);
  near(valueAt(MOTION, moved, "yaw", 3), 1, 1e-3);
  near(valueAt(MOTION, moved, "yaw", 2), ownAt(MOTION, "yaw", 2));
  assert.deepEqual(edits.yaw.points.length, 1); // not changed in place
  const [two, second] = addPoint(MOTION, edits, "yaw", 2, 5);
  assert.deepEqual([two.yaw.points.map(([t]) => t), second], [[2, 2.01], 1]); // no two at one time
  assert.equal(addPoint(null, {}, "yaw", 1, 900)[0].yaw.points[0][1], 45);
  assert.equal(formatEdits(removePoint(edits, "yaw", 0)), "");
});

test("a lane is smoothed and taken back as a whole", () => {
  const edits = setSmooth({ pitch: { points: [[1, 2]] } }, "yaw", 7);
  assert.equal(edits.yaw.smooth_s, 2);
  assert.deepEqual(resetLane(edits, "pitch"), { yaw: { smooth_s: 2 } });
});

test("blinks of the motion are found, taken out and in again, and others added and moved", () => {
  assert.deepEqual(blinksOf(MOTION, {}).map((b) => [Math.round(b.time * 100) / 100, b.isOwn]), [[1.02, true], [3, true]]);
  const out = toggleBlink({}, blinksOf(MOTION, {})[0]);
  assert.deepEqual(blinksOf(MOTION, out).map((b) => b.isRemoved), [true, false]);
  assert.equal(formatEdits(toggleBlink(out, blinksOf(MOTION, out)[0])), "");
  const [added, index] = addBlink(MOTION, {}, 2);
  assert.equal(index, 1);
  const [moved, at] = moveBlink(MOTION, added, blinksOf(MOTION, added)[1], 3.5);
  assert.deepEqual([moved.blinks.add, at], [[3.5], 2]);
  const [own] = moveBlink(MOTION, {}, blinksOf(MOTION, {})[1], 0.5);
  assert.deepEqual(own.blinks, { add: [0.5], remove: [3] });
  assert.equal(formatEdits(toggleBlink(moved, blinksOf(MOTION, moved)[2])), "");
});

test("the face at a time turns and blinks as the lanes say, and stays where there are none", () => {
  assert.equal(turnedAt(null, {}, 1), null);
  const [edits] = addPoint(null, {}, "gaze_x", 1, 0.5);
  assert.deepEqual(turnedAt(null, edits, 1), { gaze_x: 0.5 });
  assert.equal(turnedAt(MOTION, {}, 1.02).blink, 1);
  assert.equal(turnedAt(MOTION, toggleBlink({}, blinksOf(MOTION, {})[0]), 1.02).blink, undefined);
});
