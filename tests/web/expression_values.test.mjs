import assert from "node:assert/strict";
import { test } from "node:test";
import { SLIDERS, formatPreset, parsePreset } from "../../web/js/expression_values.js";
import { History } from "../../web/js/history.js";

const LIMITS = Object.fromEntries(SLIDERS.map((name) => [name, { min: -1, max: 1 }]));

test("a preset comes back, and holds only what is posed", () => {
  const text = formatPreset({ corners: 0.5, jaw: 0 });
  assert.deepEqual(JSON.parse(text), { eadnet_expression: 1, values: { corners: 0.5 } });
  const values = parsePreset(text, LIMITS);
  assert.equal(values.corners, 0.5);
  assert.deepEqual(Object.keys(values), SLIDERS);
});

for (const [text, word] of [
  ["", "preset_no_json"],
  ["[]", "preset_other"],
  ["null", "preset_other"],
  ['{"eadnet_expression": 2, "values": {}}', "preset_other"],
  ['{"eadnet_expression": 1, "values": [1]}', "preset_other"],
  ['{"eadnet_expression": 1, "values": {"__proto__": 1}}', "preset_unknown"],
  ['{"eadnet_expression": 1, "values": {"toString": 1}}', "preset_unknown"],
  ['{"eadnet_expression": 1, "values": {"corners": 1.01}}', "preset_range"],
  ['{"eadnet_expression": 1, "values": {"corners": "1"}}', "preset_range"],
  ['{"eadnet_expression": 1, "values": {"corners": null}}', "preset_range"],
]) {
  test(`${text || "nothing"} is ${word}`, () => assert.throws(() => parsePreset(text, LIMITS), { message: word }));
}

test("steps are undone and done again; a new one forgets what was undone", () => {
  const history = new History({ a: 0 });
  assert.ok(!history.push({ a: 0 }) && history.push({ a: 1 }) && history.push({ a: 2 }));
  assert.deepEqual(history.undo(), { a: 1 });
  assert.deepEqual(history.undo(), { a: 0 });
  assert.equal(history.undo(), null);
  assert.deepEqual(history.redo(), { a: 1 });
  history.push({ a: 3 });
  assert.ok(history.canUndo && !history.canRedo);
  assert.equal(history.redo(), null);
});
