// @ts-check
/** A conversation's rows on the page: made, moved and taken away so that they are what layOut() says. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { dayLabel } from "../time.js";
import { bubble, deliveryOf, notice } from "./bubble.js";

/** @typedef {import("./layout.js").Item} Item */
/** @typedef {import("./bubble.js").Bubbles} Bubbles */

/** @typedef {{node: HTMLElement, looks: string}} Row */

export class Rows {
  /**
   * @param {HTMLElement} list where they stand
   * @param {Bubbles} bubbles
   */
  constructor(list, bubbles) {
    /** @private */
    this._list = list;
    /** @private */
    this._bubbles = bubbles;
    /** @private @type {Map<string, Row>} */
    this._rows = new Map();
  }

  /**
   * Makes the page's rows these. A row that looks as before keeps its element, and so its focus.
   * @param {readonly Item[]} items
   */
  show(items) {
    /** @type {Map<string, Row>} */
    const rows = new Map();
    for (const item of items) rows.set(item.key, this._row(item));
    // First what goes: else all that follows it would have to be moved.
    for (const [key, row] of this._rows) {
      if (rows.get(key) !== row) row.node.remove();
    }
    let here = this._list.firstElementChild;
    for (const item of items) {
      const node = /** @type {Row} */ (rows.get(item.key)).node;
      if ("first" in item) {
        node.classList.toggle("is-first", item.first);
        node.classList.toggle("is-last", item.last);
      }
      if (node === here) here = here.nextElementSibling;
      else this._list.insertBefore(node, here);
    }
    this._rows = rows;
  }

  /**
   * @param {string} key
   * @returns {HTMLElement | null}
   */
  find(key) {
    return this._rows.get(key)?.node ?? null;
  }

  /**
   * @private
   * @param {Item} item
   * @returns {Row}
   */
  _row(item) {
    const looks = looksOf(item, this._bubbles);
    const known = this._rows.get(item.key);
    if (known?.looks === looks) return known;
    return { node: this._make(item), looks };
  }

  /**
   * @private
   * @param {Item} item
   * @returns {HTMLElement}
   */
  _make(item) {
    const node = this._element(item);
    node.dataset.key = item.key;
    return node;
  }

  /**
   * @private
   * @param {Item} item
   */
  _element(item) {
    switch (item.kind) {
      case "day":
        return h(
          "div",
          { class: "day", role: "listitem" },
          h("h2", { class: "day-label" }, dayLabel(item.at)),
        );
      case "unread":
        return h(
          "div",
          { class: "unread-line", role: "listitem" },
          h("span", { class: "unread-label" }, t("chat.unread")),
        );
      case "notice":
        return notice(item);
      default:
        return bubble(item, this._bubbles);
    }
  }
}

/**
 * All that an item's looks depend on, save its place in a run.
 * @param {Item} item
 * @param {Bubbles} bubbles
 */
function looksOf(item, bubbles) {
  switch (item.kind) {
    case "day":
      return dayLabel(item.at); // today becomes yesterday
    case "message":
      return `${deliveryOf(item, bubbles)} ${bubbles.group ? bubbles.nameOf(item.message.from) : ""}`;
    case "entry":
      return `${deliveryOf(item, bubbles)} ${item.entry.error?.code}`;
    case "upload":
      return `${deliveryOf(item, bubbles)} ${item.upload.error?.code}`;
    default:
      return "";
  }
}
