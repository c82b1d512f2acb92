import assert from "node:assert/strict";
import { test } from "node:test";
import { previewRequest } from "../../web/js/preview_request.js";
import { Graph, talkingHead } from "./graphs.mjs";

const still = { isStrip: false };

test("the emotion of the widgets goes with the portrait of the chain", () => {
  const { graph, prompt } = talkingHead();
  assert.deepEqual(previewRequest(prompt, graph, still), {
    image: "anna.png",
    subfolder: "faces",
    type: "input",
    box: "10,20,90,100",
    text: "amused",
    preset: "none",
    intensity: 0.7,
    use_pad: false,
    frames: 1,
  });
});

test("the pad's values go along only where they count", () => {
  const { graph, prompt } = talkingHead();
  prompt.widgets.find((w) => w.name === "use_pad").value = true;
  const { valence, arousal, frames } = previewRequest(prompt, graph, { isStrip: true });
  assert.deepEqual([valence, arousal, frames], [0.2, -0.4, 25]);
});

test("without a portrait the server takes its sample", () => {
  const { graph, prompt, portrait } = talkingHead();
  portrait.mode = 4;
  const request = previewRequest(prompt, graph, still);
  for (const name of ["image", "subfolder", "type", "box"]) assert.ok(!(name in request), name);
});

test("the Speak node takes its own image and its own words", () => {
  const graph = new Graph();
  const portrait = graph.add("LoadImage", { widgets: { image: "ben.png [temp]" } });
  const speak = graph.add("EADNet_Speak", { inputs: ["image", "audio"], widgets: { text: "tired", emotion: 1 } });
  graph.connect(portrait, speak, "image");
  const expected = { image: "ben.png", subfolder: "", type: "temp", text: "tired", frames: 1 };
  assert.deepEqual(previewRequest(speak, graph, still), expected);
});

test("words from a plain text node are known; words that a node has to make are not", () => {
  const { graph, prompt } = talkingHead();
  graph.connect(graph.add("PrimitiveString", { widgets: { value: "jealous" } }), prompt, "text");
  assert.equal(previewRequest(prompt, graph, still).text, "jealous");
  const caption = graph.add("EADNet_LLMEmotionCaption", { inputs: ["text"] });
  graph.connect(graph.add("PrimitiveString", { widgets: { value: "the script" } }), caption, "text");
  graph.connect(caption, prompt, "text");
  assert.equal(previewRequest(prompt, graph, still), null);
});
