import assert from "node:assert/strict";
import { test } from "node:test";
import { LEAD_S, MOST_WAIT_S, Schedule } from "../../eadnet_core/live/page/schedule.js";
import { parseChunk, toPcm } from "../../eadnet_core/live/page/wire.js";

const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`);

test("chunks follow one another however unevenly they come", () => {
  const schedule = new Schedule(25);
  near(schedule.place(0, 10), 10 + LEAD_S);
  near(schedule.place(5, 10.28), 10 + LEAD_S + 0.2);
  near(schedule.place(10, 10.35), 10 + LEAD_S + 0.4);
  assert.equal(schedule.jumps, 1);
});

test("a chunk that comes too late begins anew, and the next follows it", () => {
  const schedule = new Schedule(25);
  schedule.place(0, 0);
  near(schedule.place(5, 1), 1 + LEAD_S);
  near(schedule.place(10, 1.1), 1 + LEAD_S + 0.2);
  assert.equal(schedule.jumps, 2);
});

test("no delay builds up", () => {
  const schedule = new Schedule(25);
  schedule.place(0, 0);
  const start = 25 * (MOST_WAIT_S + 1);
  near(schedule.place(start, 0.1), 0.1 + LEAD_S);
});

test("ten minutes pass without drift", () => {
  const schedule = new Schedule(25);
  const first = schedule.place(0, 0);
  let at = first;
  for (let start = 5; start <= 15000; start += 5) at = schedule.place(start, start / 25 - 0.02 + 0.04 * Math.sin(start));
  near(at, first + 600);
  assert.equal(schedule.jumps, 1);
});

test("another clock begins anew", () => {
  const schedule = new Schedule(25);
  schedule.place(0, 0);
  schedule.forget();
  near(schedule.place(5, 100), 100 + LEAD_S);
});

test("a chunk is read as it was written", async () => {
  const header = new TextEncoder().encode(JSON.stringify({ start: 5, every: 5, sizes: [3], n_samples: 2 }));
  const whole = new Uint8Array(4 + header.length + 3 + 4);
  new DataView(whole.buffer).setUint32(0, header.length, true);
  whole.set(header, 4);
  whole.set([1, 2, 3], 4 + header.length);
  whole.set([0, 128, 0, 64], 4 + header.length + 3);
  const chunk = parseChunk(whole.buffer);
  assert.equal(chunk.header.start, 5);
  assert.deepEqual([...new Uint8Array(await chunk.pictures[0].arrayBuffer())], [1, 2, 3]);
  assert.deepEqual([...chunk.sound], [-1, 0.5]);
});

test("samples become 16 bits, within bounds", () => {
  assert.deepEqual([...new Int16Array(toPcm(Float32Array.of(0, 1, -1, 3)))], [0, 32767, -32767, 32767]);
});
