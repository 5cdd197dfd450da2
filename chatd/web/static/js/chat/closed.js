// @ts-check
/** What stands in place of the composer where nobody can write. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { isImported } from "../keys.js";
import { shut } from "./happened.js";

/** @import { Store } from "../store.js" */
/** @import { Place } from "../types.js" */

export class ClosedNote {
  node = h("p", { class: "chat-closed-note quiet", role: "status", hidden: true });

  #store;
  #place;

  /** @param {Store} store @param {Place} place */
  constructor(store, place) {
    this.#store = store;
    this.#place = place;
    this.update();
  }

  /** Whether nobody can write here. */
  get closed() {
    return !this.node.hidden;
  }

  update() {
    const said = this.#said();
    this.node.hidden = said === "";
    if (this.node.textContent !== said) this.node.textContent = said;
  }

  #said() {
    if (isImported(this.#place.name)) return t("chat.imported.closed");
    const reason = this.#store.conversation(this.#place)?.shut;
    return typeof reason === "string" ? shut(reason) : "";
  }
}
