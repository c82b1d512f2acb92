/** The keyboard's place on a track over an undo: the page's undo puts a new node in the place of the one that had it. */

/** An undo has made its new node within so long. */
const LEFT_MS = 2000;

/** Where the keyboard was when the user undid, {id, index, until_ms}. */
let left = null;

/** Remembers the keyframe of a node that has the keyboard's focus. */
export function leave({ node, selected }) {
  left = { id: node.id, index: selected, until_ms: performance.now() + LEFT_MS };
}

/** Gives the focus back to the same keyframe of the new node, as soon as its editor is seen. */
export function comeBack(editor) {
  const { id, index, until_ms } = left ?? {};
  if (id !== editor.node.id || performance.now() > until_ms) return;
  if (!editor.frame.clientWidth || !editor.track.length) return requestAnimationFrame(() => comeBack(editor));
  editor.focus(Math.min(index, editor.track.length - 1));
}
