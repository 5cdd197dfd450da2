// @ts-check
/** A button with a menu: arrow keys move through it, Escape and a click outside close it. */

import { fill, h, uid } from "../dom.js";
import { icon, iconButton } from "../ui.js";

/**
 * @typedef {{label: string, icon: import("../icons.js").IconName, danger?: boolean} &
 *   ({href: string} | {onClick: () => unknown})} MenuItem
 */

/**
 * @param {string} label
 * @param {() => MenuItem[]} items called each time it opens
 * @returns {HTMLElement}
 */
export function menu(label, items) {
  const id = uid("menu");
  const list = h("div", { class: "menu-list", id, role: "menu", "aria-label": label, hidden: true });
  const opener = iconButton("more", label, {
    "aria-haspopup": "menu",
    "aria-expanded": false,
    "aria-controls": id,
  });
  const node = h("div", { class: "menu" }, opener, list);

  const choices = () => /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[role=menuitem]")]);

  /** @param {boolean} open */
  const show = (open) => {
    list.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (open) {
      fill(list, ...items().map(element));
      document.addEventListener("pointerdown", outside);
    } else {
      document.removeEventListener("pointerdown", outside);
    }
  };
  /** @param {Event} event */
  const outside = (event) => {
    if (!node.isConnected || !node.contains(/** @type {Node} */ (event.target))) show(false);
  };
  /** @param {MenuItem} item */
  const element = (item) => {
    const link = "href" in item;
    return h(
      /** @type {"a"} */ (link ? "a" : "button"),
      {
        class: item.danger ? "menu-item menu-danger" : "menu-item",
        role: "menuitem",
        tabindex: "-1",
        ...(link ? { href: item.href } : { type: "button" }),
        on: {
          click: () => {
            show(false);
            opener.focus();
            if ("onClick" in item) item.onClick();
          },
        },
      },
      icon(item.icon),
      h("span", null, item.label),
    );
  };
  opener.addEventListener("click", () => {
    show(list.hidden !== false);
    if (!list.hidden) choices()[0]?.focus();
  });
  opener.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown") return;
    event.preventDefault();
    show(true);
    choices()[0]?.focus();
  });
  list.addEventListener("keydown", (event) => {
    const all = choices();
    const here = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const steps = { ArrowDown: here + 1, ArrowUp: here - 1 + all.length, Home: 0, End: all.length - 1 };
    if (event.key in steps) {
      event.preventDefault();
      all[steps[/** @type {keyof typeof steps} */ (event.key)] % all.length].focus();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      show(false);
      opener.focus();
    } else if (event.key === "Tab") {
      show(false);
    }
  });
  return node;
}
