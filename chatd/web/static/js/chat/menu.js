// @ts-check
/** Menus: arrow keys move through them, Escape and a click outside close them. */

import { fill, h, uid } from "../dom.js";
import { icon, iconButton } from "../ui.js";

/**
 * @typedef {{label: string, icon: import("../icons.js").IconName, danger?: boolean} &
 *   ({href: string} | {onClick: () => unknown})} MenuItem
 * @typedef {{emoji: string, label: string, checked: boolean, onClick: () => unknown}} EmojiItem shown in a row above
 */

const GAP = 4; // px between a button and its menu, and between a menu and the window's edge

/**
 * A button with a menu below it.
 * @param {string} label
 * @param {() => MenuItem[]} items called each time it opens
 * @returns {HTMLElement}
 */
export function menu(label, items) {
  const list = new MenuList(label, () => show(false));
  const opener = iconButton("more", label, {
    "aria-haspopup": "menu",
    "aria-expanded": false,
    "aria-controls": list.node.id,
  });
  const node = h("div", { class: "menu" }, opener, list.node);
  list.node.hidden = true;

  /** @param {boolean} open */
  const show = (open) => {
    if (!open && list.node.contains(document.activeElement)) opener.focus();
    list.node.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (open) {
      list.fill(items());
      document.addEventListener("pointerdown", outside);
      list.focus();
    } else {
      document.removeEventListener("pointerdown", outside);
    }
  };
  /** @param {Event} event */
  const outside = (event) => {
    if (!node.isConnected || !node.contains(/** @type {Node} */ (event.target))) show(false);
  };
  opener.addEventListener("click", () => show(list.node.hidden !== false));
  opener.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown") return;
    event.preventDefault();
    show(true);
  });
  return node;
}

/**
 * Opens a menu beside a button, above everything else on the page.
 * @param {HTMLElement} opener
 * @param {string} label
 * @param {MenuItem[]} items
 * @param {EmojiItem[]} [emoji]
 */
export function popUp(opener, label, items, emoji = []) {
  const list = new MenuList(label, () => close());
  const { node } = list;
  node.classList.add("menu-popup");
  list.fill(items, emoji);
  const close = () => {
    const within = node.contains(document.activeElement);
    node.remove();
    opener.setAttribute("aria-expanded", "false");
    removeEventListener("pointerdown", outside, true);
    for (const event of ["resize", "hashchange"]) removeEventListener(event, close, true);
    if (within) opener.focus({ preventScroll: true });
  };
  /** @param {Event} event */
  const outside = (event) => {
    if (!node.contains(/** @type {Node} */ (event.target))) close();
  };
  document.body.append(node);
  opener.setAttribute("aria-expanded", "true");
  place(node, opener.getBoundingClientRect());
  list.focus();
  addEventListener("pointerdown", outside, true);
  for (const event of ["resize", "hashchange"]) addEventListener(event, close, true);
}

/**
 * Below the button if there is room, else above it.
 * @param {HTMLElement} node
 * @param {DOMRect} beside
 */
function place(node, beside) {
  const { offsetWidth: width, offsetHeight: height } = node;
  const below = beside.bottom + GAP;
  const top = below + height <= innerHeight - GAP ? below : beside.top - GAP - height;
  const start = document.dir === "rtl" || beside.left + width <= innerWidth - GAP ? beside.left : beside.right - width;
  node.style.setProperty("top", `${Math.max(GAP, Math.min(top, innerHeight - height - GAP))}px`);
  node.style.setProperty("left", `${Math.max(GAP, Math.min(start, innerWidth - width - GAP))}px`);
}

/** The list itself. */
class MenuList {
  #close;

  /**
   * @param {string} label
   * @param {() => void} close
   */
  constructor(label, close) {
    this.#close = close;
    this.node = h("div", {
      class: "menu-list",
      id: uid("menu"),
      role: "menu",
      "aria-label": label,
      on: { keydown: (/** @type {KeyboardEvent} */ event) => this.#key(event) },
    });
  }

  /**
   * @param {MenuItem[]} items
   * @param {EmojiItem[]} [emoji]
   */
  fill(items, emoji = []) {
    const row = h("div", { class: "menu-emoji", role: "group" }, ...emoji.map((each) => this.#emoji(each)));
    fill(this.node, emoji.length > 0 && row, ...items.map((each) => this.#item(each)));
  }

  focus() {
    this.#choices()[0]?.focus();
  }

  #choices() {
    return /** @type {HTMLElement[]} */ ([...this.node.querySelectorAll("[role^=menuitem]")]);
  }

  /** @param {() => unknown} [action] */
  #choose(action) {
    this.#close();
    action?.();
  }

  /** @param {EmojiItem} item */
  #emoji({ emoji, label, checked, onClick }) {
    return h(
      "button",
      {
        class: "menu-emoji-item",
        type: "button",
        role: "menuitemcheckbox",
        "aria-checked": checked,
        "aria-label": label,
        title: label,
        tabindex: "-1",
        on: { click: () => this.#choose(onClick) },
      },
      emoji,
    );
  }

  /** @param {MenuItem} item */
  #item(item) {
    const link = "href" in item;
    return h(
      /** @type {"a"} */ (link ? "a" : "button"),
      {
        class: item.danger ? "menu-item menu-danger" : "menu-item",
        role: "menuitem",
        tabindex: "-1",
        ...(link ? { href: item.href } : { type: "button" }),
        on: { click: () => this.#choose("onClick" in item ? item.onClick : undefined) },
      },
      icon(item.icon),
      h("span", null, item.label),
    );
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const all = this.#choices();
    const here = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    /** @type {Record<string, number>} */
    const steps = {
      ArrowDown: here + 1,
      ArrowRight: here + 1,
      ArrowUp: here - 1 + all.length,
      ArrowLeft: here - 1 + all.length,
      Home: 0,
      End: all.length - 1,
    };
    if (event.key in steps) {
      event.preventDefault();
      event.stopPropagation();
      all[steps[event.key] % all.length].focus();
    } else if (event.key === "Escape" || event.key === "Tab") {
      event.stopPropagation();
      this.#close();
    }
  }
}
