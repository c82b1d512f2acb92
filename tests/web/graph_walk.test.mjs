import assert from "node:assert/strict";
import { test } from "node:test";
import { fileOf, freeValue, isLinked, isWire, nodeAt, partnerOf, sourceOf } from "../../web/js/graph_walk.js";
import { Graph, talkingHead } from "./graphs.mjs";

test("the voice of a track is found through reroutes and other nodes", () => {
  const { graph, track, voice } = talkingHead();
  assert.equal(sourceOf(track, "audio", ["LoadAudio"], graph), voice);
  const trim = graph.add("TrimAudio", { inputs: ["audio"] });
  const reroute = graph.add("Reroute", { inputs: [""] });
  graph.connect(voice, trim, "audio");
  graph.connect(trim, reroute, "");
  graph.connect(reroute, track, "audio");
  assert.equal(sourceOf(track, "audio", ["LoadAudio"], graph), voice);
  assert.equal(sourceOf(track, "audio", ["LoadAudio"], graph, isWire), null);
});

test("only the named input is followed", () => {
  const { graph, track } = talkingHead();
  assert.equal(sourceOf(track, "emotion", ["LoadAudio"], graph), null);
  assert.equal(sourceOf(track, "keyframes", ["LoadAudio"], graph), null);
});

test("a bypassed loader gives nothing", () => {
  const { graph, track, voice } = talkingHead();
  voice.mode = 4;
  assert.equal(sourceOf(track, "audio", ["LoadAudio"], graph), null);
});

test("the face of an emotion is what feeds the sampler that it leads to", () => {
  const { graph, prompt, track, face } = talkingHead();
  assert.equal(partnerOf(prompt, "EADNet_Face", graph), face);
  assert.equal(partnerOf(track, "EADNet_Face", graph), face);
  assert.equal(partnerOf(graph.add("EADNet_EmotionPrompt"), "EADNet_Face", graph), null);
});

test("two chains in one graph keep their faces apart", () => {
  const { graph, prompt, face } = talkingHead();
  const other = graph.add("EADNet_Face", { inputs: ["image"] });
  const words = graph.add("EADNet_EmotionPrompt");
  const sampler = graph.add("EADNet_Sampler", { inputs: ["face", "emotion"] });
  graph.connect(other, sampler, "face");
  graph.connect(words, sampler, "emotion");
  assert.equal(partnerOf(words, "EADNet_Face", graph), other);
  assert.equal(partnerOf(prompt, "EADNet_Face", graph), face);
});

test("a node is found by the server's id, in subgraphs too", () => {
  const [graph, inside] = [new Graph(), new Graph()];
  const speak = inside.add("EADNet_Speak");
  graph.add("Note");
  const outer = graph.add("subgraph", { subgraph: inside });
  assert.equal(nodeAt(`${outer.id}:${speak.id}`, graph), speak);
  assert.equal(nodeAt(outer.id, graph), outer);
  assert.equal(nodeAt("9:1", graph), null);
  assert.equal(nodeAt("", graph), null);
});

test("a ring of links ends the search", () => {
  const graph = new Graph();
  const [a, b] = [graph.add("A", { inputs: ["x"] }), graph.add("B", { inputs: ["x"] })];
  graph.connect(a, b, "x");
  graph.connect(b, a, "x");
  assert.equal(sourceOf(a, "x", ["LoadAudio"], graph), null);
  assert.equal(partnerOf(a, "EADNet_Face", graph), null);
});

test("a link whose node is gone leads nowhere", () => {
  const { graph, track, voice } = talkingHead();
  graph.nodes.splice(graph.nodes.indexOf(voice), 1);
  assert.equal(sourceOf(track, "audio", ["LoadAudio"], graph), null);
});

/** An emotion prompt in a subgraph, whose emotion leaves it to a sampler outside; and a voice that enters it. */
function withSubgraph() {
  const root = new Graph();
  const inside = new Graph();
  const host = root.add("a1b2-subgraph", { inputs: ["audio"], subgraph: inside });
  const voice = root.add("LoadAudio", { widgets: { audio: "hello.wav" } });
  const face = root.add("EADNet_Face", { inputs: ["image"] });
  const sampler = root.add("EADNet_Sampler", { inputs: ["face", "emotion"] });
  const track = inside.add("EADNet_EmotionTrack", { inputs: ["audio"] });
  inside.connectIn(0, track, "audio");
  inside.connectOut(track, 0);
  root.connect(voice, host, "audio");
  root.connect(face, sampler, "face");
  root.connect(host, sampler, "emotion");
  return { root, inside, voice, face, sampler, track };
}

test("subgraphs are entered and left, upstream and downstream", () => {
  const { root, voice, face, sampler, track } = withSubgraph();
  assert.equal(sourceOf(track, "audio", ["LoadAudio"], root), voice);
  assert.equal(partnerOf(track, "EADNet_Face", root), face);
  assert.equal(sourceOf(sampler, "emotion", ["EADNet_EmotionTrack"], root), track);
});

test("links that write the ids of nodes as text are followed too", () => {
  const { root, inside, voice, face, track } = withSubgraph();
  for (const link of [...root.links.values(), ...inside.links.values()]) {
    link.origin_id = String(link.origin_id);
    link.target_id = String(link.target_id);
  }
  assert.equal(sourceOf(track, "audio", ["LoadAudio"], root), voice);
  assert.equal(partnerOf(track, "EADNet_Face", root), face);
});

test("a clone that is in no graph has the links of its original, and leads nowhere", () => {
  const { graph, prompt, track } = talkingHead();
  for (const node of [prompt, track]) {
    const clone = { ...node, graph: null };
    assert.equal(sourceOf(clone, "audio", ["LoadAudio"], graph), null);
    assert.equal(partnerOf(clone, "EADNet_Face", graph), null);
  }
});

test("a prompt outside finds the face inside a subgraph that it feeds", () => {
  const { root, inside } = withSubgraph();
  const face = inside.add("EADNet_Face", { inputs: ["image"] });
  const sampler = inside.add("EADNet_Sampler", { inputs: ["face", "emotion"] });
  const host = root.nodes[0];
  host.inputs.push({ name: "emotion", link: null });
  inside.connect(face, sampler, "face");
  inside.connectIn(1, sampler, "emotion");
  const prompt = root.add("EADNet_EmotionPrompt");
  root.connect(prompt, host, "emotion");
  assert.equal(partnerOf(prompt, "EADNet_Face", root), face);
});

test("a linked widget has no free value", () => {
  const { graph, prompt } = talkingHead();
  assert.equal(freeValue(prompt, "text"), "amused");
  graph.connect(graph.add("PrimitiveString"), prompt, "text");
  assert.ok(isLinked(prompt, "text"));
  assert.equal(freeValue(prompt, "text"), undefined);
  assert.equal(freeValue(prompt, "no such widget"), undefined);
});

test("a loader's value names folder and kind", () => {
  assert.deepEqual(fileOf("a.png"), { filename: "a.png", subfolder: "", type: "input" });
  assert.deepEqual(fileOf("x/y/a b.png [output]"), { filename: "a b.png", subfolder: "x/y", type: "output" });
  assert.deepEqual(fileOf("take [1].wav"), { filename: "take [1].wav", subfolder: "", type: "input" });
  assert.equal(fileOf(""), null);
  assert.equal(fileOf(undefined), null);
});
