/** The sample portrait, voice and clip of the pack's workflows, brought into ComfyUI's input folder when one names them. */

import { announceFiles, api } from "./host.js";

const SAMPLE = /^eadnet_\w+\.\w+$/;

/** Asks the server for the samples that a freshly opened graph names, and lets their loaders show them. */
export async function bringSamples(graph) {
  const widgets = [...samplesOf(graph)];
  if (!widgets.length) return;
  const response = await api.fetchApi("/eadnet/samples", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
  if (!response.ok) return;
  for (const widget of widgets) {
    const { values } = widget.options;
    if (Array.isArray(values) && !values.includes(widget.value)) values.push(widget.value);
    widget.callback?.(widget.value);
  }
  announceFiles();
}

function* samplesOf(graph) {
  for (const node of graph.nodes ?? []) {
    if (node.subgraph) yield* samplesOf(node.subgraph);
    for (const widget of node.widgets ?? []) if (SAMPLE.test(widget.value)) yield widget;
  }
}
