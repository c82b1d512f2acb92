/** The notes and labels of the pack's workflows in the language of the page. What somebody has changed stays as it is. */

let known = null;

/** Texts of a language as {English: translated}, fetched once; {} where the pack has none. */
function notesIn(language) {
  known ??= fetch(new URL(`../notes/${language}.json`, import.meta.url)).then((response) => (response.ok ? response.json() : {}));
  return known;
}

/** Puts the notes, titles and labels of one of the pack's workflows into a language such as "zh"; of other graphs, nothing. */
export async function translateNotes(graph, language) {
  const notes = graph.nodes?.filter((n) => n.type === "MarkdownNote" && n.widgets?.length) ?? [];
  if (!notes.length) return;
  const texts = await notesIn(language);
  const ours = notes.map((n) => n.widgets[0]).filter((widget) => texts[widget.value]);
  if (!ours.length) return;
  for (const widget of ours) widget.value = texts[widget.value];
  for (const node of graph.nodes) {
    node.title = texts[node.title] ?? node.title;
    for (const input of node.inputs?.filter((port) => texts[port.label]) ?? []) {
      input.label = texts[input.label];
      const widget = node.widgets?.find((w) => w.name === input.widget?.name);
      if (widget) widget.label = input.label;
    }
  }
  graph.setDirtyCanvas?.(true, true);
}
