// @ts-check
/** What the composer is for: a new message, an answer, or an edit. The last two are shown above the field. */

import { fill, h, name } from "../dom.js";
import { t } from "../i18n.js";
import { icon, iconButton } from "../ui.js";
import { inShort } from "./quote.js";

/** @typedef {import("../types.js").Message} Message */

export class Mode {
  /** @type {"new" | "reply" | "edit"} */
  kind = "new";
  /** @type {Message | null} the message that is answered or edited */
  message = null;
  node = h("div", { class: "composer-mode", hidden: true });
  #ended;

  /** @param {() => void} ended called when the user gives it up */
  constructor(ended) {
    this.#ended = ended;
  }

  /**
   * @param {"reply" | "edit"} kind
   * @param {Message} message
   * @param {string} author
   */
  begin(kind, message, author) {
    this.kind = kind;
    this.message = message;
    const title = kind === "edit" ? [t("chat.editing")] : [t("chat.replying"), " ", name(author)];
    fill(
      this.node,
      icon(kind === "edit" ? "edit" : "reply"),
      h(
        "div",
        { class: "composer-mode-text" },
        h("p", { class: "composer-mode-title" }, ...title),
        h("p", { class: "composer-mode-line", dir: "auto" }, inShort(message)),
      ),
      iconButton("close", t(kind === "edit" ? "chat.editing.cancel" : "chat.replying.cancel"), {
        onClick: () => this.#ended(),
      }),
    );
    this.node.hidden = false;
  }

  end() {
    this.kind = "new";
    this.message = null;
    this.node.hidden = true;
    fill(this.node);
  }
}
