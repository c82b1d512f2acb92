/**
 * Finding out, on the page, what the graph would hand to a node: links followed upstream and downstream, through
 * reroutes, bypassed nodes and subgraphs.
 *
 * It reads ComfyUI's graph objects and changes none: graph {getNodeById, links}, node {graph, inputs, outputs, widgets}.
 */

/** Ids under which a link inside a subgraph names the subgraph's own inputs and outputs; newer pages write ids as text. */
const SUBGRAPH_INPUT = "-10";
const SUBGRAPH_OUTPUT = "-20";

const BYPASSED = 4;

const ANNOTATED = /^(.*?)(?: \[(input|output|temp)\])?$/;

export function widgetOf(node, name) {
  return node.widgets?.find((w) => w.name === name);
}

/** The value of a widget that no link overrides; undefined where it is linked, or not there. */
export function freeValue(node, name) {
  return isLinked(node, name) ? undefined : widgetOf(node, name)?.value;
}

/** Whether a link gives the input `name` its value. */
export function isLinked(node, name) {
  return node.inputs?.find((i) => i.name === name)?.link != null;
}

/** A link of a graph, or null. A node that is being cloned keeps the ids of its links and is in no graph. */
function linkOf(graph, id) {
  return graph?.getLink?.(id) ?? graph?.links?.get?.(id) ?? graph?.links?.[id] ?? null;
}

/** The node that feeds input slot `slot`, or null. A subgraph's node is passed through to what feeds it inside. */
function feeder(node, slot, host) {
  const id = node.inputs?.[slot]?.link;
  const link = id == null ? null : linkOf(node.graph, id);
  return link ? origin(node.graph, link, host) : null;
}

/** The node that a link of `graph` comes from; `host` is the chain of subgraph nodes that the graph sits in. */
function origin(graph, link, host) {
  if (String(link.origin_id) === SUBGRAPH_INPUT) return host && feeder(host.node, link.origin_slot, host.outer);
  const node = graph.getNodeById(link.origin_id);
  if (!node?.subgraph) return node && { node, host };
  const id = node.subgraph.outputNode?.slots?.[link.origin_slot]?.linkIds?.[0];
  const inner = id == null ? null : linkOf(node.subgraph, id);
  return inner && origin(node.subgraph, inner, { node, outer: host });
}

/**
 * Every place that feeds `place`, nearest first, each {node, host}.
 * `from` narrows the first step to one input; beyond a node that does not `passes` nothing is looked for.
 */
function* upstream(place, { from, passes = () => true } = {}) {
  const seen = new Set();
  const queue = [[place, from]];
  while (queue.length) {
    const [{ node, host }, only] = queue.shift();
    for (const [slot, input] of (node.inputs ?? []).entries()) {
      const next = only === undefined || input.name === only ? feeder(node, slot, host) : null;
      if (!next || seen.has(next.node)) continue;
      seen.add(next.node);
      yield next;
      if (passes(next.node)) queue.push([next]);
    }
  }
}

/** Whether a node hands on what it is given: a reroute, or a node that is bypassed. */
export function isWire(node) {
  return node.type === "Reroute" || node.mode === BYPASSED;
}

/** The nodes that take what `place` gives out, nearest first, into subgraphs and out of them. */
function* downstream(place) {
  const seen = new Set([place.node]);
  const queue = [place];
  while (queue.length) {
    for (const next of takers(queue.shift())) {
      if (seen.has(next.node)) continue;
      seen.add(next.node);
      yield next;
      queue.push(next);
    }
  }
}

function* takers({ node, host }) {
  for (const output of node.outputs ?? []) yield* ends(node.graph, output.links, host);
}

function* ends(graph, ids, host) {
  for (const id of ids ?? []) {
    const link = linkOf(graph, id);
    if (!link) continue;
    if (String(link.target_id) === SUBGRAPH_OUTPUT) {
      if (host) yield* ends(host.node.graph, host.node.outputs[link.target_slot]?.links, host.outer);
      continue;
    }
    const node = graph.getNodeById(link.target_id);
    if (!node?.subgraph) {
      if (node) yield { node, host };
      continue;
    }
    const slot = node.subgraph.inputNode?.slots?.[link.target_slot];
    yield* ends(node.subgraph, slot?.linkIds, { node, outer: host });
  }
}

/** The node that the server calls by an id, "5:3" for node 3 in the subgraph that node 5 holds; or null. */
export function nodeAt(id, root) {
  let [node, graph] = [null, root];
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(part) ?? graph?.getNodeById(Number(part)) ?? null;
    graph = node?.subgraph;
  }
  return node;
}

/** {node, host} of a node anywhere below `root`: host is the chain of subgraph nodes around it, innermost first. */
export function placeOf(node, root) {
  const search = (graph, host) => {
    if (graph === node.graph) return { node, host };
    for (const inner of graph.nodes ?? []) {
      const found = inner.subgraph && search(inner.subgraph, { node: inner, outer: host });
      if (found) return found;
    }
    return null;
  };
  return search(root, null) ?? { node, host: null };
}

/** The nearest node of one of `types` that feeds input `name` of a node, through nodes that `passes`; or null. */
export function sourceOf(node, name, types, root, passes) {
  for (const { node: found } of upstream(placeOf(node, root), { from: name, passes })) {
    if (types.includes(found.type) && !isWire(found)) return found;
  }
  return null;
}

/** The nearest node of `type` that `node` leads to, or that feeds one it leads to; or null. */
export function partnerOf(node, type, root) {
  const start = placeOf(node, root);
  for (const place of [start, ...downstream(start)]) {
    if (place.node.type === type) return place.node;
    for (const { node: found } of upstream(place)) if (found.type === type) return found;
  }
  return null;
}

/** A loader's "folder/name.png [output]" as the server names it: {filename, subfolder, type}; null for no file. */
export function fileOf(value) {
  if (typeof value !== "string" || !value) return null;
  const [, path, type = "input"] = ANNOTATED.exec(value);
  const cut = path.lastIndexOf("/");
  return { filename: path.slice(cut + 1), subfolder: cut < 0 ? "" : path.slice(0, cut), type };
}
