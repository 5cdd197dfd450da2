// @ts-check
/** The rows of a conversation on the page, updated to match layOut(). */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { bubble, looksOf as bubbleLooks, line, notice } from "./bubble.js";
import { dayLabel } from "./day.js";

/** @typedef {import("./layout.js").Item} Item */
/** @typedef {import("./bubble.js").Bubbles} Bubbles */

/** @typedef {{node: HTMLElement, looks: string, about: unknown}} Row `about`: the object that it shows */

export class Rows {
  #list;
  #bubbles;
  /** @type {Map<string, Row>} */
  #rows = new Map();

  /**
   * @param {HTMLElement} list the element that contains them
   * @param {Bubbles} bubbles
   */
  constructor(list, bubbles) {
    this.#list = list;
    this.#bubbles = bubbles;
  }

  /**
   * Updates the page to these items. An unchanged row keeps its element, and so its focus.
   * @param {readonly Item[]} items
   */
  show(items) {
    /** @type {Map<string, Row>} */
    const rows = new Map();
    for (const item of items) rows.set(item.key, this.#row(item));
    // Remove rows first: otherwise all rows after them would be moved.
    for (const [key, row] of this.#rows) {
      if (rows.get(key) !== row) row.node.remove();
    }
    let here = this.#list.firstElementChild;
    for (const item of items) {
      const node = /** @type {Row} */ (rows.get(item.key)).node;
      if ("first" in item) {
        node.classList.toggle("is-first", item.first);
        node.classList.toggle("is-last", item.last);
      }
      if (node === here) here = here.nextElementSibling;
      else this.#list.insertBefore(node, here);
    }
    this.#rows = rows;
  }

  /**
   * @param {string} key
   * @returns {HTMLElement | null}
   */
  find(key) {
    return this.#rows.get(key)?.node ?? null;
  }

  /** The row of a message. @param {number} seq @returns {HTMLElement | null} */
  of(seq) {
    return this.#list.querySelector(`[data-seq="${seq}"]`);
  }

  /** The seq of the last message that ends above that position, in px from the window's top; 0 if there is none. @param {number} bottom */
  lastAbove(bottom) {
    const rows = /** @type {HTMLElement[]} */ ([...this.#list.children]);
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].getBoundingClientRect().bottom <= bottom + 1) low = middle + 1;
      else high = middle;
    }
    return Number(rows.slice(0, low).findLast((row) => row.dataset.seq)?.dataset.seq ?? 0);
  }

  /**
   * @param {Item} item
   * @returns {Row}
   */
  #row(item) {
    const looks = looksOf(item, this.#bubbles);
    const about = item.kind === "message" ? item.message : null;
    const known = this.#rows.get(item.key);
    if (known?.looks === looks && known.about === about) return known;
    return { node: this.#make(item), looks, about };
  }

  /**
   * @param {Item} item
   * @returns {HTMLElement}
   */
  #make(item) {
    const node = this.#element(item);
    node.dataset.key = item.key;
    if (item.kind === "message" && item.message.seq !== 0) node.dataset.seq = String(item.message.seq);
    return node;
  }

  /**
   * @param {Item} item
   */
  #element(item) {
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
      case "line":
        return line(item, this.#bubbles);
      default:
        return bubble(item, this.#bubbles);
    }
  }
}

/**
 * What an item's element depends on, except its message and its place in a run.
 * @param {Item} item
 * @param {Bubbles} bubbles
 */
function looksOf(item, bubbles) {
  switch (item.kind) {
    case "day":
      return dayLabel(item.at); // today becomes yesterday
    case "message":
    case "entry":
    case "upload":
      return bubbleLooks(item, bubbles);
    case "line":
      return item.changes
        .flatMap(({ seq, who, by, unverified }) => [seq, who && bubbles.nameOf(who), by && bubbles.nameOf(by), unverified])
        .join(" ");
    default:
      return "";
  }
}
