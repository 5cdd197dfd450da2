// @ts-check
/** The button that leads to the newest message, with the number of new ones. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../ui.js";

const MAX = 99;

export class Jump {
  #count = h("span", { class: "jump-count" });
  #label = h("span", { class: "visually-hidden" }, t("chat.jump"));

  /** @param {() => void} pressed */
  constructor(pressed) {
    this.node = h(
      "button",
      { class: "jump", type: "button", hidden: true, on: { click: pressed } },
      icon("down"),
      this.#count,
      this.#label,
    );
  }

  /**
   * @param {boolean} hidden
   * @param {number} fresh how many messages are new
   */
  show(hidden, fresh) {
    this.node.hidden = hidden;
    this.#count.textContent = fresh > 0 ? (fresh > MAX ? `${MAX}+` : String(fresh)) : "";
    this.#label.textContent = fresh > 0 ? t("chat.jump.new", { n: fresh }) : t("chat.jump");
  }
}
