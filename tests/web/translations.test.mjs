/** Every string of the interface that has no Chinese is listed here by its failure. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { choiceIn } from "../../web/js/choices.js";

const ROOT = new URL("../../", import.meta.url);
const read = (path) => readFileSync(new URL(path, ROOT), "utf8");
const json = (path) => JSON.parse(read(path));
const isChinese = (text) => /[\u4e00-\u9fff]/.test(text ?? "");

/** Every text under a key of a JSON object, {path: text}. */
function texts(value, path = "") {
  if (typeof value === "string") return [[path, value]];
  return Object.entries(value).flatMap(([key, inner]) => texts(inner, `${path}/${key}`));
}

test("the notes, titles and labels of every workflow", () => {
  const known = json("web/notes/zh.json");
  const said = new Set();
  for (const name of readdirSync(new URL("workflows/", ROOT)).filter((n) => n.endsWith(".json"))) {
    const { nodes, groups } = json(`workflows/${name}`);
    for (const { type, title, widgets_values, inputs } of nodes) {
      if (title) said.add(title);
      for (const { label } of inputs) if (label) said.add(label);
      if (type === "MarkdownNote") said.add(widgets_values[0]);
    }
    for (const { title } of groups) said.add(title);
  }
  assert.deepEqual([...said].filter((text) => !isChinese(known[text])), []);
  assert.deepEqual(Object.keys(known).filter((text) => !said.has(text)), [], "translated, and said nowhere");
});

test("commands", () => {
  const known = json("locales/zh/commands.json");
  const ids = [...read("web/js/commands.js").matchAll(/id: "([\w.]+)"/g)].map(([, id]) => id.replaceAll(".", "_"));
  assert.ok(ids.length >= 2);
  assert.deepEqual(Object.keys(known).sort(), ids.sort());
  assert.deepEqual(ids.filter((id) => !isChinese(known[id].label)), []);
});

test("settings, with their categories", () => {
  const source = read("web/js/eadnet.js");
  const known = json("locales/zh/settings.json");
  const id = /SETTING = "([\w.]+)"/.exec(read("web/js/preview.js"))[1].replaceAll(".", "_");
  assert.ok(isChinese(known[id].name) && isChinese(known[id].tooltip), id);
  assert.equal(Object.keys(known).length, [...source.matchAll(/defaultValue:/g)].length);
  const { settingsCategories } = json("locales/zh/main.json");
  const [, categories] = /category: \[(.*)\]/.exec(source);
  for (const [, name] of categories.matchAll(/"([^"]+)"/g)) assert.ok(name in settingsCategories, name);
});

test("the emotions, and the types of sockets", () => {
  const emotions = [...read("eadnet_core/taxonomy.py").matchAll(/^ {8}name="(\w+)"/gm)].map(([, name]) => name);
  assert.ok(emotions.length >= 8);
  assert.deepEqual(emotions.filter((name) => !isChinese(choiceIn("zh")(name))), []);
  const types = [...read("nodes/sockets.py").matchAll(/io\.Custom\("(\w+)"\)/g)].map(([, name]) => name);
  const { dataTypes } = json("locales/zh/main.json");
  assert.deepEqual(types.filter((name) => !isChinese(dataTypes[name])), []);
});

test("nothing of it is read as a placeholder by the page", () => {
  for (const [path, text] of [...texts(json("locales/zh/main.json")), ...texts(json("locales/zh/settings.json"))]) assert.doesNotMatch(text, /[{}|@]/, path);
});

test("other locales keep the English", () => assert.equal(choiceIn("fr")("happy"), "happy"));
