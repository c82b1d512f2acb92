import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { LANGUAGES, keysOf, wordsFor } from "../../web/js/words.js";

const FOLDER = new URL("../../web/js/", import.meta.url);
const sources = readdirSync(FOLDER).filter((name) => name.endsWith(".js"));
const read = (name) => readFileSync(new URL(name, FOLDER), "utf8");

test("every language has every word, and none is empty", () => {
  for (const language of LANGUAGES) {
    assert.deepEqual(keysOf(language), keysOf("en"), language);
    assert.ok(Object.values(wordsFor(language)).every(Boolean));
  }
});

test("a locale is matched by its language, and English stands in", () => {
  assert.equal(wordsFor("zh-TW"), wordsFor("zh"));
  assert.equal(wordsFor(undefined), wordsFor("en"));
});

test("each word is said somewhere, and no other is asked for", () => {
  const code = sources.filter((name) => name !== "words.js").map(read).join("\n");
  for (const key of keysOf("en")) assert.match(code, new RegExp(`\\b${key}\\b`), `'${key}' is never said`);
  for (const [, key] of code.matchAll(/\bwords\.(?!js\b|choice\b)(\w+)/g)) assert.ok(keysOf("en").includes(key), `no word '${key}'`);
});

test("files that are tested here know neither the page nor ComfyUI", () => {
  const pure = ["feelings.js", "graph_walk.js", "keyframes.js", "marks.js", "newest.js", "pad_plane.js", "preview_request.js", "timeline.js", "transitions.js", "waveform.js", "words.js"];
  for (const name of pure) assert.doesNotMatch(read(name), /\bdocument\.|\bwindow\.|from ".*(?:host|dom|scripts\/)/, name);
  for (const name of sources.filter((n) => n !== "host.js")) assert.doesNotMatch(read(name), /scripts\/(?:app|api)/, name);
});
