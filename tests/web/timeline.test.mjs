import assert from "node:assert/strict";
import { test } from "node:test";
import { clock, dragAxis, hit, laneLength, mostZoom, region, ticks, toTime, toX } from "../../web/js/timeline.js";

const scale = { duration_s: 8, width_px: 400 };
const track = [1, 1.1, 5].map((time) => ({ time }));

test("times and pixels are each other's inverse; outside the lane is its edge", () => {
  for (const time of [0, 0.37, 4, 8]) assert.ok(Math.abs(toTime(toX(time, scale), scale) - time) < 1e-12);
  assert.equal(toX(2, scale), 100);
  assert.equal(toTime(-30, scale), 0);
  assert.equal(toTime(500, scale), 8);
});

test("the lane shows the sound, and a keyframe after its end", () => {
  assert.equal(laneLength(track, 6.4), 6.4);
  assert.equal(laneLength(track, 3), 5);
  assert.equal(laneLength([], null), 10);
  assert.equal(laneLength([{ time: 12.2 }], null), 14);
});

test("the ruler's marks are round, inside the clip and far enough apart", () => {
  for (const duration_s of [0.4, 1, 6.4, 120, 600, 7200]) {
    for (const width_px of [200, 480, 6400]) {
      const marks = ticks({ duration_s, width_px });
      assert.equal(marks[0], 0);
      assert.ok(marks.at(-1) <= duration_s + 1e-9);
      if (marks.length > 1) assert.ok(toX(marks[1], { duration_s, width_px }) >= 56 - 1e-9);
    }
  }
  assert.deepEqual(ticks({ duration_s: 3, width_px: 200 }), [0, 1, 2, 3]);
});

test("the clock carries into the minute", () => {
  assert.equal(clock(75.5), "1:15.50");
  assert.equal(clock(59.996), "1:00.00");
  assert.equal(clock(5, 0), "0:05");
  assert.equal(clock(0.25, 1), "0:00.3");
});

test("a hit is the nearest mark within reach", () => {
  assert.equal(hit(track, 51, scale), 0);
  assert.equal(hit(track, 54, scale), 1);
  assert.equal(hit(track, 70, scale), -1);
  assert.equal(hit([], 70, scale), -1);
});

test("a drag has an axis once it is long enough", () => {
  assert.equal(dragAxis(2, 2), null);
  assert.equal(dragAxis(-6, 3), "time");
  assert.equal(dragAxis(2, 9), "intensity");
});

test("a lane can be doubled until a second is about a thousand pixels wide", () => {
  for (const duration_s of [0.3, 5.84, 60, 3600]) {
    const px_per_s = (480 * 2 ** mostZoom(duration_s, 480)) / duration_s;
    assert.ok(px_per_s >= 1000 && (px_per_s < 2000 || duration_s < 0.48), `${duration_s}: ${px_per_s}`);
  }
});

test("of a zoomed lane the marks of its part alone are made", () => {
  const wide = { duration_s: 3600, width_px: 3_600_000 };
  const marks = ticks(wide, 56, 1800, 1800.5);
  assert.deepEqual(marks, [1800, 1800.1, 1800.2, 1800.3, 1800.4, 1800.5]);
  assert.deepEqual(ticks(wide, 56, 3599.95, 4000), [3600]);
});

test("a region to repeat is in order, inside the clip and no moment", () => {
  assert.deepEqual(region(3, 1, 8), { start_s: 1, end_s: 3 });
  assert.deepEqual(region(-2, 20, 8), { start_s: 0, end_s: 8 });
  assert.equal(region(2, 2.05, 8), null);
  assert.equal(region(9, 12, 8), null);
});
