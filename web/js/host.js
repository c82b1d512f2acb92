/** The only file that knows ComfyUI's page: its app, its server, its widgets, its undo. */

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

export { api, app };

const REMOVING = ["Delete", "Backspace"];

/** Calls `after` when the object's method `name` has been called, with the same arguments. */
export function follow(object, name, after) {
  const before = object[name];
  object[name] = function (...args) {
    const result = before?.apply(this, args);
    after.apply(this, args);
    return result;
  };
}

/** Puts an element into a node as a widget that is saved nowhere; it takes the height that the node has to spare. */
export function addPanel(node, name, element, min_px, max_px) {
  addStyleSheet();
  element.style.minHeight = `${min_px}px`; // Nodes 2.0 asks the element, the classic canvas asks the options
  for (const event of ["pointerdown", "dblclick", "contextmenu"]) {
    element.addEventListener(event, (e) => e.stopPropagation()); // or the node is dragged, or its menu opens
  }
  element.addEventListener("keydown", (e) => REMOVING.includes(e.key) && e.stopPropagation()); // or the node is deleted
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => min_px, getMaxHeight: () => max_px };
  const widget = node.addDOMWidget(name, "eadnet", element, options);
  widget.serialize = false; // not in the workflow's positional list of values either
  element.dataset.panel = name;
  follow(node, "onConfigure", () => setTimeout(() => takePlace(node, name, element)));
  return widget;
}

/** Nodes 2.0 keeps showing the element of a node that undo has replaced by a new one of the same id: put ours there. */
function takePlace(node, name, element) {
  if (element.isConnected) return;
  document.querySelector(`[data-node-id="${node.id}"] [data-panel="${name}"]`)?.replaceWith(element);
}

/** Makes a node at least this wide and as high as its widgets need. */
export function grow(node, width_px = 0) {
  const [, height] = node.computeSize();
  node.setSize([Math.max(node.size[0], width_px), Math.max(node.size[1], height)]);
}

const announced = new WeakSet();

/**
 * Lets Nodes 2.0 take a node as it is now, with the widgets that it has got or lost since it was added.
 *
 * ComfyUI 0.8's page does that by itself only until a widget's value changes. It wraps the callback of each widget in
 * doing so; one that is wrapped already keeps the callback that it has.
 */
export function announce(node) {
  if (!node.graph || setting("Comfy.VueNodes.Enabled") !== true) return;
  const before = node.widgets.map((widget) => [widget, widget.callback]);
  node.graph.onNodeAdded?.(node);
  for (const [widget, callback] of before) if (announced.has(widget)) widget.callback = callback;
  for (const [widget] of before) announced.add(widget);
}

/** Gives a widget a value as if the user had typed it. */
export function setValue(node, widget, value) {
  if (widget.value === value) return;
  widget.value = value;
  widget.callback?.(value, app.canvas, node);
  node.graph?.setDirtyCanvas(true, true);
}

/**
 * Hides a widget that a panel stands for; its value is saved as before.
 *
 * App mode shows the widgets that a workflow chose and no panel: there it is not hidden. It asks the options alone.
 */
export function hide(widget) {
  widget.hidden = true;
  Object.defineProperty(widget.options, "hidden", { get: () => !isApp(), configurable: true, enumerable: true });
}

/** Shows or hides the video that the classic canvas puts into a node that has made one. */
export function showOwnVideo(node, isShown) {
  const widget = node.widgets.find(({ name }) => name === "video-preview");
  if (widget) widget.hidden = !isShown;
}

/** Shows a widget that was hidden. */
export function show(widget) {
  widget.hidden = false;
  Object.defineProperty(widget.options, "hidden", { value: false, writable: true, configurable: true, enumerable: true });
}

/** Whether the page shows the open workflow as an app, or builds one. */
function isApp() {
  const { activeMode, initialMode } = app.extensionManager?.workflow?.activeWorkflow ?? {};
  return (activeMode ?? initialMode ?? "graph") !== "graph";
}

/** Ends a change of values: one step for undo. */
export function commit() {
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
  if (tracker?.captureCanvasState) tracker.captureCanvasState();
  else tracker?.checkState?.(); // ComfyUI 0.8's name of it
}

const files = new EventTarget();

/** Says that files which the graph names are there now. */
export function announceFiles() {
  files.dispatchEvent(new Event("change"));
}

/**
 * Calls `hear` after anything in the graph or its files has changed, as long as the node is in a graph.
 *
 * A clone may never be added to one, and so never be removed: nothing listens for it.
 */
export function onGraphChange(node, hear) {
  const later = () => setTimeout(() => node.graph && hear()); // links are made before both ends know of them
  follow(node, "onAdded", () => {
    api.addEventListener("graphChanged", later);
    files.addEventListener("change", later);
    later(); // one from a file is configured by then
  });
  for (const name of ["onConfigure", "onConnectionsChange"]) follow(node, name, later);
  follow(node, "onRemoved", () => {
    api.removeEventListener("graphChanged", later);
    files.removeEventListener("change", later);
  });
}

export function setting(id) {
  return app.extensionManager?.setting?.get(id);
}

export function setSetting(id, value) {
  return app.extensionManager?.setting?.set(id, value);
}

/** The address of a file that a loader names, as {filename, subfolder, type}. */
export function viewUrl(file) {
  return api.apiURL(`/view?${new URLSearchParams(file)}`);
}

/** Adds rules to the page. */
export function addStyle(rules) {
  document.head.append(Object.assign(document.createElement("style"), { textContent: rules }));
}

let isStyled = false;

function addStyleSheet() {
  if (isStyled) return;
  isStyled = true;
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet" });
  link.href = new URL("../css/eadnet.css", import.meta.url).href;
  document.head.append(link);
}
