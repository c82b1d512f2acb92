import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { colorOf, keyOf, levelOf, toRead } from "../../web/js/feelings.js";
import { EMOTIONS } from "./emotions.mjs";

const style = readFileSync(new URL("../../web/css/eadnet.css", import.meta.url), "utf8");

test("every feeling has a colour of its own in the style sheet", () => {
  const colors = Object.fromEntries([...style.matchAll(/--feel-(\w+): color-mix\(in srgb, (#\w{6})/g)].map(([, name, color]) => [name, color]));
  assert.deepEqual(Object.keys(colors), EMOTIONS.map(({ name }) => name));
  assert.equal(new Set(Object.values(colors)).size, EMOTIONS.length);
});

test("a mixture is drawn in the mixture of its colours, what is unread in the accent's", () => {
  assert.equal(colorOf(null), "var(--accent)");
  assert.equal(colorOf({ shares: { happy: 1 } }), "var(--feel-happy, var(--accent))");
  const mixed = colorOf({ shares: { happy: 0.6, sad: 0.2 } });
  assert.equal(mixed, "color-mix(in srgb, var(--feel-sad, var(--accent)) 25%, var(--feel-happy, var(--accent)))");
});

test("a level is the keyframe's own, else what the words ask, at most 1", () => {
  assert.equal(levelOf({ intensity: 0.2 }, { intensity: 0.9 }), 0.2);
  assert.equal(levelOf({ intensity: null }, { intensity: 1.4 }), 1);
  assert.equal(levelOf({ intensity: null }, { intensity: 0 }), 0);
  assert.equal(levelOf({ intensity: null }, null), 0.7);
});

test("words are read, or a code in their place; what follows the voice is not", () => {
  assert.deepEqual(toRead({ text: "sad" }), { text: "sad" });
  assert.deepEqual(toRead({ text: "sad", code: [1] }), { code: [1] });
  assert.equal(toRead({ text: " Auto " }), null);
  assert.notEqual(keyOf({ text: "sad" }), keyOf({ text: "happy" }));
});
