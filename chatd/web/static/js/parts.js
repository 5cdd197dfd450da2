// @ts-check
/** The components that the first page needs; ui.js exports these and the others. */

import { h } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";

/** @import { Children, Props } from "./dom.js" */
/** @import { IconName } from "./icons.js" */

/**
 * @typedef {Props & {
 *   kind?: string,
 *   icon?: IconName,
 *   onClick?: (event: MouseEvent) => unknown,
 * }} ButtonOptions `kind`: `primary`, `danger`, `quiet`, `small`, or several with spaces between. All others
 *   are given to the element. An `href` makes it a link that looks like a button.
 */

/** @param {string} label @param {ButtonOptions} [options] */
export function button(label, { icon: picture, ...options } = {}) {
  return pressable("button", options, picture && icon(picture), h("span", null, label));
}

/**
 * A button with an icon. `label` is its accessible name and tooltip.
 * @param {IconName} name
 * @param {string} label
 * @param {ButtonOptions} [options]
 */
export function iconButton(name, label, options = {}) {
  return pressable("icon-button", { "aria-label": label, title: label, ...options }, icon(name));
}

/**
 * @param {string} base its class
 * @param {ButtonOptions} options
 * @param {...Children} inside
 * @returns {HTMLButtonElement}
 */
function pressable(base, { kind, onClick, class: more, ...props }, ...inside) {
  const kinds = (kind ?? "").split(" ").map((each) => each && `button-${each}`);
  const tag = props.href === undefined ? "button" : /** @type {"button"} */ (/** @type {string} */ ("a"));
  const type = props.href === undefined ? "button" : null;
  const node = h(tag, { type, ...props, class: [base, ...kinds, more].filter(Boolean).join(" ") }, ...inside);
  if (onClick) node.addEventListener("click", onClick);
  return node;
}

const HUES = [4, 24, 42, 68, 100, 140, 168, 192, 214, 244, 282, 330]; // degrees, easy to tell apart

/**
 * The avatar of a user or group: a picture, or the first letters on a colour derived from the name.
 * @param {string} name
 * @param {boolean} [online] a green or an empty dot; without it, none
 * @param {{kind?: "user" | "group", large?: boolean, picture?: string, away?: boolean}} [options] `picture` is a path;
 *   `away`: online, but away
 */
export function avatar(name, online, { kind = "user", large = false, picture, away = false } = {}) {
  const words = name.replace(/@.*/u, "").split(/[\s._-]+/u).filter(Boolean);
  const state = online ? (away ? "away" : "online") : "offline";
  const letters = words.slice(0, 2).map((word) => [...word][0]?.toLocaleUpperCase() ?? "");
  let sum = 7;
  for (const letter of name.toLowerCase()) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % HUES.length;
  return h(
    "span",
    { class: `avatar avatar-${kind}${large ? " avatar-large" : ""}`, style: { "--hue": String(HUES[sum]) } },
    h("span", { class: "avatar-letters", "aria-hidden": "true" }, letters.join("") || "?"),
    picture !== undefined && covering(picture),
    online !== undefined &&
      h(
        "span",
        { class: `presence is-${state}` },
        h("span", { class: "visually-hidden" }, t(`ui.${state}`)),
      ),
  );
}

/**
 * A picture that covers the letters or the icon of its parent. While it is missing, these are shown.
 * @param {string} path
 */
export function covering(path) {
  /** @type {HTMLImageElement} */
  const image = h("img", {
    class: "avatar-picture",
    alt: "",
    loading: "lazy",
    decoding: "async",
    on: { error: () => image.remove() },
  });
  image.setAttribute("src", path);
  return image;
}

/**
 * A placeholder for an empty list or page, with a hint on what to do.
 * @param {string} title
 * @param {Children} [hint]
 * @param {HTMLElement | HTMLElement[] | null} [action]
 * @param {IconName} [picture]
 */
export function emptyState(title, hint, action, picture) {
  return h(
    "div",
    { class: "empty" },
    picture && h("div", { class: "empty-picture" }, icon(picture)),
    h("p", { class: "empty-title", dir: "auto" }, title),
    hint && h("p", { class: "empty-hint", dir: "auto" }, hint),
    action && h("div", { class: "empty-actions" }, action),
  );
}

/**
 * A row of a list. With `href` or `onClick` the whole row is active; `actions` are separate buttons beside it.
 * @param {{
 *   title: string, subtitle?: Children, meta?: Children, badge?: Children, picture?: HTMLElement | null,
 *   href?: string, onClick?: () => unknown, actions?: Children[], current?: boolean, class?: string,
 *   label?: string,
 * }} row `meta` is at the end of the first line, `badge` at the end of the second; `label` is for screen readers
 * @returns {HTMLLIElement}
 */
export function listRow(row) {
  const inside = [
    row.picture,
    h(
      "span",
      { class: "row-text" },
      h("span", { class: "row-line" }, h("bdi", { class: "row-title", dir: "auto" }, row.title),
        row.meta && h("span", { class: "row-meta" }, row.meta)),
      (row.subtitle || row.badge) &&
        h("span", { class: "row-line" }, h("span", { class: "row-subtitle", dir: "auto" }, row.subtitle),
          row.badge && h("span", { class: "row-badge" }, row.badge)),
    ),
  ];
  const props = { class: "row-main", "aria-label": row.label, "aria-current": row.current ? "page" : null };
  const main = row.href
    ? h("a", { ...props, href: row.href }, ...inside)
    : row.onClick
      ? h("button", { ...props, type: "button", on: { click: row.onClick } }, ...inside)
      : h("div", { ...props, "aria-label": null }, ...inside);
  const actions = row.actions?.length ? h("span", { class: "row-actions" }, ...row.actions) : null;
  return h("li", { class: row.class ? `row ${row.class}` : "row" }, main, actions);
}

/** A spinner, with a label for screen readers. @param {string} [label] */
export function spinner(label = t("ui.loading")) {
  return h("div", { class: "spinner", role: "status" }, h("span", { class: "visually-hidden" }, label));
}

/** A badge with the number of unread messages, or null for 0. @param {number} n @returns {HTMLElement | null} */
export function unreadBadge(n) {
  return countBadge(n, t("ui.unread", { n }));
}

/** A badge with a number, or null for 0. @param {number} n @param {string} label for screen readers */
export function countBadge(n, label) {
  if (n <= 0) return null;
  return h(
    "span",
    { class: "badge" },
    h("span", { "aria-hidden": "true" }, n > 99 ? "99+" : String(n)),
    h("span", { class: "visually-hidden" }, label),
  );
}
