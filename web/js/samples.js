/** The sample portrait, voice and clip of the pack's workflows, brought into ComfyUI's input folder when one names them. */

import { announceFiles, api } from "./host.js";

/** As nodes/sample_files.py names them. */
const SAMPLES = ["eadnet_portrait.png", "eadnet_speech.wav", "eadnet_clip.mp4", "eadnet_feeling.mp4", "eadnet_couple.jpg", "eadnet_reply.wav"];

/**
 * Asks the server for the samples that a freshly opened graph names, and lets their loaders show them.
 *
 * Their names are choices at once: ComfyUI looks for missing files when the graph is there, and what it marks stays marked.
 */
export async function bringSamples(graph) {
  const widgets = [...samplesOf(graph)];
  if (!widgets.length) return;
  for (const { options, value } of widgets) {
    if (Array.isArray(options.values) && !options.values.includes(value)) options.values.push(value);
  }
  const response = await api.fetchApi("/eadnet/samples", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
  if (!response.ok) return;
  for (const widget of widgets) widget.callback?.(widget.value);
  announceFiles();
}

function* samplesOf(graph) {
  for (const node of graph.nodes ?? []) {
    if (node.subgraph) yield* samplesOf(node.subgraph);
    for (const widget of node.widgets ?? []) if (SAMPLES.includes(widget.value)) yield widget;
  }
}
