// @ts-check
/** The bar above a conversation whose other side has asked to write: accept, decline, or block. */

import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { tError } from "../refusals.js";
import { button } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").Place} Place */

export class RequestBar {
  #app;
  #place;
  #shown = "";
  #busy = false;

  /** @param {App} app @param {Place} place */
  constructor(app, place) {
    this.#app = app;
    this.#place = place;
    this.node = h("div", { class: "request-bar", role: "region", "aria-label": t("chat.request.label"), hidden: true });
    this.update();
  }

  update() {
    const { store } = this.#app;
    const name = store.displayName(this.#place.name);
    const asks = store.conversation(this.#place)?.request === "open";
    const looks = asks ? name : "";
    if (looks === this.#shown) return;
    this.#shown = looks;
    this.node.hidden = !asks;
    if (!asks) return fill(this.node);
    const kind = "small";
    fill(
      this.node,
      h("p", { dir: "auto" }, t("chat.request", { name })),
      h(
        "div",
        { class: "request-buttons" },
        button(t("chat.request.block"), { kind, onClick: () => this.#answer("block") }),
        button(t("chat.request.decline"), { kind, onClick: () => this.#answer("decline") }),
        button(t("chat.request.accept"), { kind: "small primary", onClick: () => this.#answer("accept") }),
      ),
    );
  }

  /** @param {"accept" | "decline" | "block"} command */
  async #answer(command) {
    if (this.#busy) return;
    this.#busy = true;
    const { connection, store, toast, router } = this.#app;
    const name = store.displayName(this.#place.name);
    try {
      if (command === "block") await connection.request("decline", { user: this.#place.name });
      await connection.request(command, { user: this.#place.name });
    } catch (error) {
      toast(tError(error), "error");
      return;
    } finally {
      await store.refresh();
      this.#busy = false;
    }
    toast(t(`chat.request.${command}.done`, { name }), "success");
    if (command !== "accept") router.go("#/");
  }
}
