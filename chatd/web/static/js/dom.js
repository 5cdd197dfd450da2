// @ts-check
/** Making elements. Text is always inserted as text: nothing here turns what people write into markup. */

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Child | Child[]} Children */

/**
 * `class`, `dataset`, `on` (listeners by event) and `style` (CSS properties by name) are special. Anything
 * else is an attribute: true sets it empty, and null, undefined or false leaves it out, except that `aria-…`
 * attributes get the words true and false. `value` is set as a property.
 * @typedef {{
 *   class?: string | null | false,
 *   dataset?: Record<string, string | number | undefined>,
 *   on?: Record<string, (event: any) => unknown>,
 *   style?: Record<string, string>,
 *   value?: string,
 *   [attribute: string]: unknown,
 * }} Props
 */

/**
 * An element: `h("a", {href: "#/", class: "link"}, "Home")`.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props | null} [props]
 * @param {...Children} children strings become text
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = null, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) setProp(node, name, value);
  append(node, children);
  return node;
}

/**
 * Replaces the node's children.
 * @template {Element} E
 * @param {E} node
 * @param {...Children} children
 * @returns {E}
 */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/** @param {Element} node @param {Children[]} children */
function append(node, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child).replace(BIDI, ""));
  }
}

/** Bidirectional formatting, which would affect the text around it; chat/bidi.js keeps that of messages. */
const BIDI = /[\u202a-\u202e\u2066-\u2069]/gu;

/** @param {HTMLElement} node @param {string} name @param {any} value */
function setProp(node, name, value) {
  if (name === "class") {
    if (value) node.className = value;
  } else if (name === "dataset") {
    for (const [key, text] of Object.entries(value)) if (text !== undefined) node.dataset[key] = String(text);
  } else if (name === "on") {
    for (const [event, listener] of Object.entries(value)) node.addEventListener(event, /** @type {any} */ (listener));
  } else if (name === "style") {
    for (const [key, text] of Object.entries(value)) node.style.setProperty(key, String(text));
  } else if (name === "value") {
    /** @type {any} */ (node).value = value ?? "";
  } else if (name.startsWith("aria-") && typeof value === "boolean") {
    node.setAttribute(name, String(value));
  } else if (value !== null && value !== undefined && value !== false) {
    node.setAttribute(name, value === true ? "" : String(value));
  }
}

let made = 0;

/** An id that no other element of the page has. @param {string} prefix */
export function uid(prefix) {
  made += 1;
  return `${prefix}-${made}`;
}

/** A name, isolated from the direction of the text around it.
 * @param {string} text
 */
export function name(text) {
  return h("bdi", { dir: "auto" }, text);
}
