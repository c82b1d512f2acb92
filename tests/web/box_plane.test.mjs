import assert from "node:assert/strict";
import { test } from "node:test";
import { drawn, fitted, formatBox, framed, meant, moved, parseBox, placed, resized } from "../../web/js/box_plane.js";

const SIZE = [400, 300];
const BOX = [100, 50, 200, 150];

test("a box is four numbers in order, with commas or semicolons, and nothing else is one", () => {
  assert.deepEqual(parseBox(" 1, 2.5;30,40 "), [1, 2.5, 30, 40]);
  assert.deepEqual(parseBox("-5,0,30,40"), [-5, 0, 30, 40]);
  for (const text of ["", undefined, null, "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,,3,4", "30,2,1,40", "1,2,1,4", "1,2,Infinity,4"]) {
    assert.equal(parseBox(text), null, String(text));
  }
  assert.equal(formatBox([1.4, 2.6, 30, 40]), "1,3,30,40");
});

test("a box is drawn in any direction, stays in the picture, and is none where it is too small", () => {
  assert.deepEqual(drawn([200, 150], [100, 50], SIZE), BOX);
  assert.deepEqual(drawn([300, 200], [900, -50], SIZE), [300, 0, 400, 200]);
  assert.equal(drawn([10, 10], [17, 100], SIZE), null);
  assert.equal(drawn([500, 10], [900, 100], SIZE), null);
});

test("a box keeps its size when it is moved, and stops at the edge", () => {
  assert.deepEqual(moved(BOX, 10, -20, SIZE), [110, 30, 210, 130]);
  assert.deepEqual(moved(BOX, 9999, -9999, SIZE), [300, 0, 400, 100]);
  const beyond = [-20, 50, 80, 150];
  assert.deepEqual(moved(beyond, 0, 0, SIZE), beyond);
  assert.deepEqual(moved(beyond, -5, 0, SIZE), beyond);
  assert.deepEqual(moved(beyond, 30, 0, SIZE), [10, 50, 110, 150]);
});

test("a corner moves two edges, never past the others nor out of the picture", () => {
  assert.deepEqual(resized(BOX, "se", 20, 10, SIZE), [100, 50, 220, 160]);
  assert.deepEqual(resized(BOX, "nw", -500, -500, SIZE), [0, 0, 200, 150]);
  assert.deepEqual(resized(BOX, "nw", 500, 500, SIZE), [192, 142, 200, 150]);
  assert.deepEqual(resized(BOX, "ne", -500, -10, SIZE), [100, 40, 108, 150]);
  assert.deepEqual(resized(BOX, "sw", 10, 900, SIZE), [110, 50, 200, 300]);
});

test("places are shares of the picture", () => {
  assert.deepEqual(placed([100, 75, 300, 225], SIZE), { left: "25%", top: "25%", width: "50%", height: "50%" });
  assert.deepEqual(fitted(SIZE, 200, 900), [200, 150]);
  assert.deepEqual(fitted(SIZE, 900, 150), [200, 150]);
});

test("what the model sees is a square with forehead and chin where they belong", () => {
  const [x0, y0, x1, y1] = framed(BOX, { top: 0.2, bottom: 0.8 });
  const side = x1 - x0;
  assert.ok(Math.abs(side - (y1 - y0)) < 1e-9 && Math.abs(side - 100 / 0.6) < 1e-9);
  assert.ok(Math.abs(y0 + 0.2 * side - 50) < 1e-9 && Math.abs(y0 + 0.8 * side - 150) < 1e-9);
});

test("a drawn box means the face that it covers by half", () => {
  const found = [[0, 0, 50, 50], [105, 55, 205, 155]];
  assert.equal(meant(BOX, found), 1);
  assert.equal(meant([300, 200, 350, 250], found), -1);
  assert.equal(meant([0, 0, 300, 300], found), -1);
  assert.equal(meant(BOX, []), -1);
});
