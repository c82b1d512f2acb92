/** Arithmetic of boxes that are drawn on a picture. A box is [x0, y0, x1, y1] in the picture's pixels, a size [width, height]. */

/** As the core asks of a box that is given by hand. */
export const LEAST_PX = 8;
/** Which edges each handle of a box moves: the first of x, then of y; as indices of a box. */
export const CORNERS = { nw: [0, 1], ne: [2, 1], sw: [0, 3], se: [2, 3] };

/** The box that the widget's text names; null where it is empty or no box. */
export function parseBox(text) {
  const parts = String(text ?? "").trim().split(/[,;]/);
  const box = parts.map((part) => (part.trim() === "" ? NaN : Number(part)));
  const isBox = box.length === 4 && box.every(Number.isFinite) && box[2] > box[0] && box[3] > box[1];
  return isBox ? box : null;
}

/** The text of a box, in whole pixels. */
export function formatBox(box) {
  return box.map(Math.round).join(",");
}

/** The box between two points, in order, inside the picture; null where it is too small to be meant. */
export function drawn([ax, ay], [bx, by], size) {
  const box = inside([Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)], size);
  return box[2] - box[0] < LEAST_PX || box[3] - box[1] < LEAST_PX ? null : box;
}

/** A box moved by pixels; it stays inside the picture as far as it was. */
export function moved(box, dx, dy, [width, height]) {
  const by_x = within(dx, Math.min(-box[0], 0), Math.max(width - box[2], 0));
  const by_y = within(dy, Math.min(-box[1], 0), Math.max(height - box[3], 0));
  return [box[0] + by_x, box[1] + by_y, box[2] + by_x, box[3] + by_y];
}

/** A box with one corner moved by pixels; it keeps the least size, and the corner stays inside the picture. */
export function resized(box, corner, dx, dy, size) {
  const [x, y] = CORNERS[corner];
  const result = [...box];
  for (const [edge, by, most] of [[x, dx, size[0]], [y, dy, size[1]]]) {
    const isFirst = edge < 2;
    const other = box[isFirst ? edge + 2 : edge - 2];
    const [low, high] = isFirst ? [0, other - LEAST_PX] : [other + LEAST_PX, most];
    result[edge] = within(box[edge] + by, Math.min(low, high), Math.max(low, high));
  }
  return result;
}

/** Where a box lies in a picture, as CSS {left, top, width, height} in percent. */
export function placed(box, [width, height]) {
  const percent = (value, whole) => `${(100 * value) / whole}%`;
  return {
    left: percent(box[0], width),
    top: percent(box[1], height),
    width: percent(box[2] - box[0], width),
    height: percent(box[3] - box[1], height),
  };
}

/** The square about a box that the model sees; `frame` {top, bottom} says where in it forehead and chin lie, 0 .. 1. */
export function framed([x0, y0, x1, y1], { top, bottom }) {
  const side = (y1 - y0) / (bottom - top);
  const middle = [(x0 + x1) / 2, (y0 + y1) / 2 + side * (0.5 - (top + bottom) / 2)];
  return [middle[0] - side / 2, middle[1] - side / 2, middle[0] + side / 2, middle[1] + side / 2];
}

/** [width, height] of a picture as large as there is room for. */
export function fitted([width, height], room_width, room_height) {
  const scale = Math.min(room_width / width, room_height / height);
  return [Math.max(width * scale, 1), Math.max(height * scale, 1)];
}

/** Index of the found box that a drawn one means: the one that it covers best, at least by half; -1 for none. */
export function meant(box, found) {
  const shares = found.map((other) => shared(box, other));
  const best = shares.indexOf(Math.max(...shares, 0.5));
  return best;
}

function shared(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return (width * height) / (area(a) + area(b) - width * height);
}

function inside([x0, y0, x1, y1], [width, height]) {
  return [within(x0, 0, width), within(y0, 0, height), within(x1, 0, width), within(y1, 0, height)];
}

function within(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
