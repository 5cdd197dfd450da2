// @ts-check
/** The components of the panels' pages. */

import { h, uid } from "../dom.js";
import { t } from "../i18n.js";
import { avatar, listRow, pageHeader } from "../ui.js";

/** @typedef {import("../dom.js").Child} Child */
/** @typedef {import("../dom.js").Children} Children */
/** @typedef {Parameters<typeof pageHeader>[0]} Head */
/** @typedef {Parameters<typeof listRow>[0] & {key: string}} Row */

/**
 * A page: its heading, an introduction, and its parts.
 * @param {Head & {intro?: Children}} head
 * @param {...Children} parts
 */
export function page({ intro, ...head }, ...parts) {
  const says = intro ? h("p", { class: "panel-intro" }, intro) : null;
  return h("div", { class: "panel" }, pageHeader(head), h("div", { class: "panel-body" }, says, ...parts));
}

/**
 * A section with its own heading.
 * @param {Children} title
 * @param {...Children} parts
 */
export function section(title, ...parts) {
  const id = uid("part");
  return h(
    "section",
    { class: "part", "aria-labelledby": id },
    h("h2", { id, class: "part-title" }, title),
    ...parts,
  );
}

/**
 * A list of rows.
 * @param {string} label its name for screen readers
 * @param {(Element | null)[]} rows
 */
export function rows(label, rows) {
  return h("ul", { class: "rows", "aria-label": label }, ...rows);
}

/**
 * A row of a list that is redrawn: `key` identifies it, so that the focus can stay.
 * @param {Row} options
 */
export function row({ key, ...options }) {
  const node = listRow(options);
  for (const each of node.querySelectorAll("a, button")) {
    const what = each.classList.contains("row-main") ? "" : (each.getAttribute("aria-label") ?? "");
    /** @type {HTMLElement} */ (each).dataset.key = `${key}\n${what}`;
  }
  return node;
}

/**
 * A row for a person.
 * @param {{
 *   address: string, name: string, online?: boolean, note?: Child[], href?: string, actions?: Child[],
 *   label?: string, picture?: string, away?: boolean,
 * }} person `name` is the display name; `note` follows the address
 */
export function personRow({ address, name: shown, online, away, note = [], href, actions, label, picture }) {
  return row({
    key: address,
    title: shown,
    subtitle: noted(shown === address ? null : bdi(address), ...note),
    picture: avatar(shown, online, { picture, away }),
    href,
    actions,
    label,
  });
}

/**
 * Parts of a note with dots between them, where lines may break.
 * @param {...Child} parts
 * @returns {Child[]}
 */
export function noted(...parts) {
  return parts
    .filter((part) => part !== null && part !== false && part !== undefined && part !== "")
    .map((part) => (part instanceof Node ? part : h("span", { class: "bit" }, part)))
    .flatMap((part, at) => (at ? [" · ", part] : [part]));
}

/**
 * A small label for a state.
 * @param {Children} text
 * @param {"" | "good" | "bad" | "busy"} [kind]
 */
export function tag(text, kind = "") {
  return h("span", { class: kind ? `tag tag-${kind}` : "tag" }, text);
}

/**
 * A text with names in it, each isolated from the direction of the text around it.
 * @param {string} key
 * @param {Record<string, Children>} parts
 * @returns {Child[]}
 */
export function sentence(key, parts) {
  return t(key)
    .split(/\{(\w+)\}/)
    .flatMap((part, at) => (at % 2 && part in parts ? parts[part] : [part]))
    .map((part) => part);
}

/**
 * A name, isolated from the direction of the text around it.
 * @param {string} text
 */
export function bdi(text) {
  return h("bdi", { dir: "auto" }, text);
}

/**
 * A list of names.
 * @param {readonly string[]} names
 * @returns {Child[]}
 */
export function listed(names) {
  return names.flatMap((each, at) => (at ? [", ", bdi(each)] : [bdi(each)]));
}

/**
 * A switch with a hint below it.
 * @param {{key: string, label: string, hint: string, on: boolean, change: (on: boolean) => Promise<boolean>}} options
 *   `change` resolves to whether it is done; `key` is for `keepFocus`
 * @returns {HTMLElement[]}
 */
export function switchLine({ key, label, hint, on, change }) {
  const id = uid("switch");
  const input = h("input", {
    id,
    type: "checkbox",
    role: "switch",
    class: "switch",
    checked: on,
    "aria-describedby": `${id}-hint`,
    dataset: { key: `${key}\n` },
    on: { change: () => void toggle() },
  });
  const toggle = async () => {
    const wanted = input.checked;
    input.disabled = true;
    if (!(await change(wanted))) input.checked = !wanted;
    input.disabled = false;
    input.focus();
  };
  return [
    h("label", { class: "switch-line", for: id }, input, h("span", null, label)),
    h("p", { id: `${id}-hint`, class: "quiet" }, hint),
  ];
}
