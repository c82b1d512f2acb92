/** Small graphs of the shape that ComfyUI's page has them, with links that both ends know of. */

export class Graph {
  links = new Map();
  nodes = [];

  /** A node {type, widgets: {name: value}, inputs: [names], outputs: n}, with an id of its own. */
  add(type, { widgets = {}, inputs = [], outputs = 1, ...more } = {}) {
    const node = {
      id: this.nodes.length + 1,
      type,
      graph: this,
      mode: 0,
      widgets: Object.entries(widgets).map(([name, value]) => ({ name, value })),
      inputs: inputs.map((name) => ({ name, link: null })),
      outputs: Array.from({ length: outputs }, () => ({ links: [] })),
      ...more,
    };
    this.nodes.push(node);
    return node;
  }

  getNodeById(id) {
    return this.nodes.find((node) => String(node.id) === String(id)) ?? null;
  }

  /** A link from an output of one node to a named input of another. */
  connect(from, to, name, from_slot = 0) {
    const target_slot = to.inputs.findIndex((input) => input.name === name);
    const id = this.#link(from.id, from_slot, to.id, target_slot);
    from.outputs[from_slot].links.push(id);
    to.inputs[target_slot].link = id;
  }

  /** A link from input `slot` of the subgraph that this graph is, to a named input of a node inside. */
  connectIn(slot, to, name) {
    const target_slot = to.inputs.findIndex((input) => input.name === name);
    const id = this.#link(-10, slot, to.id, target_slot);
    to.inputs[target_slot].link = id;
    this.inputNode ??= { slots: [] };
    (this.inputNode.slots[slot] ??= { linkIds: [] }).linkIds.push(id);
  }

  /** A link from a node inside to output `slot` of the subgraph that this graph is. */
  connectOut(from, slot) {
    const id = this.#link(from.id, 0, -20, slot);
    from.outputs[0].links.push(id);
    this.outputNode ??= { slots: [] };
    this.outputNode.slots[slot] = { linkIds: [id] };
  }

  #link(origin_id, origin_slot, target_id, target_slot) {
    const id = this.links.size + 1;
    this.links.set(id, { id, origin_id, origin_slot, target_id, target_slot });
    return id;
  }
}

/** The pack's full graph in short: portrait and voice, emotion, sampler. */
export function talkingHead() {
  const graph = new Graph();
  const portrait = graph.add("LoadImage", { widgets: { image: "faces/anna.png" } });
  const voice = graph.add("LoadAudio", { widgets: { audio: "hello.wav" } });
  const face = graph.add("EADNet_Face", { inputs: ["image"], widgets: { box: "10,20,90,100" } });
  const prompt = graph.add("EADNet_EmotionPrompt", {
    inputs: ["text"],
    widgets: { text: "amused", preset: "none", intensity: 0.7, valence: 0.2, arousal: -0.4, use_pad: false },
  });
  const track = graph.add("EADNet_EmotionTrack", { inputs: ["emotion", "audio"], widgets: { keyframes: "[]" } });
  const sampler = graph.add("EADNet_Sampler", { inputs: ["model", "face", "audio", "emotion"] });
  graph.connect(portrait, face, "image");
  graph.connect(face, sampler, "face");
  graph.connect(voice, track, "audio");
  graph.connect(prompt, track, "emotion");
  graph.connect(track, sampler, "emotion");
  return { graph, portrait, voice, face, prompt, track, sampler };
}
