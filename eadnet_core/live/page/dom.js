/** Elements in one expression. */

/** An HTML element: properties (aria-, data- and role as attributes, on... as listeners), then its children. */
export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** An SVG element: attributes, then its children. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A button of the pack's panels. */
export function button(textContent, title, onclick) {
  return el("button", { className: "eadnet-button", type: "button", textContent, title, onclick });
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (/^(aria|data)-|^(role|list)$/.test(name)) element.setAttribute(name, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}
